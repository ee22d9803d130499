"""Removes worktrees and branches, and saves first what would be lost with them."""

from __future__ import annotations

from contextlib import suppress

from taskgrove_server.domain.worktree import Removal
from taskgrove_server.worktrees import branches, commands, git_dirs, registration, removing, saving, staging, work
from taskgrove_server.worktrees.branches import Branch
from taskgrove_server.worktrees.work import Work


def discard(git: commands.Git, subject: Work, *, dry_run: bool) -> Removal:
    """Removes worktree and branch, or only tells what that would be. Call it with the repository's lock.

    What is committed is saved unless the target branch has it; what is not committed is saved in any case. Raises
    GitFailed, and then everything that was not saved is still there.
    """
    return _remove(git, subject, branch=True, dry_run=dry_run)


def prune(git: commands.Git, subject: Work, *, dry_run: bool) -> Removal:
    """Removes the directory, and the branch if the target has all of it; as `discard` otherwise."""
    landed = is_landed(git, subject)
    return _remove(git, subject, branch=landed, dry_run=dry_run)


def is_landed(git: commands.Git, subject: Work) -> bool:
    """Tells whether everything that the task has committed is on the target branch."""
    if subject.target is None:
        return False
    return subject.base == subject.head or branches.contains(git, subject.repository, subject.target.head, subject.head)


def _remove(git: commands.Git, subject: Work, *, branch: bool, dry_run: bool) -> Removal:
    repository, worktree = subject.repository, subject.worktree
    files = work.uncommitted(git, subject)
    found = branches.find(git, repository, worktree.branch) if branch else None
    # One that somebody has checked out elsewhere is theirs.
    theirs = found and any(path != worktree.path for path in branches.checkouts(git, repository, found.name))
    deleted = None if theirs else found
    removal = Removal(
        path=worktree.path if subject.present else None,
        branch=deleted.name if deleted else None,
        unlanded_commits=branches.count(git, repository, subject.head, *subject.excluded),
        uncommitted_files=len(files),
    )
    if dry_run:
        return removal
    saved = _save(git, subject, deleted, uncommitted=bool(files))
    if subject.present:
        _remove_directory(git, repository, worktree.path)
    else:
        registration.forget(git, repository, worktree.path)
    if deleted:
        # With the old value: a branch that has moved on stays.
        git(repository, "update-ref", "-d", f"refs/heads/{deleted.name}", deleted.head)
    return Removal(
        path=removal.path,
        branch=removal.branch,
        unlanded_commits=removal.unlanded_commits,
        uncommitted_files=removal.uncommitted_files,
        saved_ref=saved.ref if saved else None,
        saved_commit=saved.commit if saved else None,
    )


def _save(git: commands.Git, subject: Work, deleted: Branch | None, *, uncommitted: bool) -> saving.Saved | None:
    """Saves what nothing else leads to once the directory, and the branch if it is `deleted`, are gone."""
    repository, head = subject.repository, subject.head
    if deleted and not branches.contains(git, repository, head, deleted.head) and _is_own(git, subject, deleted.head):
        # The agent has left its branch for another history.
        saving.save(git, repository, subject.task_id, deleted.head, None)
    if uncommitted:
        return saving.save(git, repository, subject.task_id, head, staging.snapshot(git, subject.worktree))
    earlier = saving.Saved.find(git, repository, subject.worktree.saved_ref)
    if earlier and earlier.head == head and not subject.present:
        # When the directory was removed, with what was not committed then.
        return earlier
    stays = branches.find(git, repository, subject.worktree.branch) if deleted is None else None
    if stays and branches.contains(git, repository, stays.head, head):
        return None
    return saving.save(git, repository, subject.task_id, head, None) if _is_own(git, subject, head) else None


def _is_own(git: commands.Git, subject: Work, commit: str) -> bool:
    """Tells whether a commit is the task's own, and nowhere else."""
    others = [subject.worktree.base_commit, *([subject.target.head] if subject.target else [])]
    return not any(branches.contains(git, subject.repository, other, commit) for other in others)


def _remove_directory(git: commands.Git, repository: str, path: str) -> None:
    git_dirs.of(git, path)  # Not anything but a worktree.
    removing.remove(path)
    with suppress(commands.GitFailed):
        # Twice forced: also one that is locked.
        git(repository, "worktree", "remove", "--force", "--force", "--", path)
