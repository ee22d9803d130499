"""Removes worktrees and branches, and saves first what would be lost with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from taskgrove_server.domain import errors
from taskgrove_server.domain.worktree import NestedKind, Removal
from taskgrove_server.worktrees import (
    aside,
    branches,
    commands,
    git_dirs,
    registration,
    saving,
    shut_directories,
    staging,
    work,
)
from taskgrove_server.worktrees.branches import Branch
from taskgrove_server.worktrees.nested import keeping, state
from taskgrove_server.worktrees.nested.repositories import Nested
from taskgrove_server.worktrees.work import Work


def discard(git: commands.Git, subject: Work, *, dry_run: bool, note: Callable[[str], None]) -> Removal:
    """Removes worktree and branch, or only tells what that would be. Call it with the repository's lock.

    What is committed is saved unless the target branch has it; what is not committed is saved in any case. `note` is
    called with the ref before anything goes, so that a server that is killed knows it afterwards. Raises GitFailed and
    WorkNotSaved, and then everything that was not saved is still there; RemovalRefused, and then nothing was removed.
    """
    return _remove(git, subject, branch=True, dry_run=dry_run, note=note)


def prune(git: commands.Git, subject: Work, *, dry_run: bool, note: Callable[[str], None]) -> Removal:
    """Removes the directory, and the branch if the target has all of it; as `discard` otherwise."""
    return _remove(git, subject, branch=subject.is_landed, dry_run=dry_run, note=note)


def _remove(git: commands.Git, subject: Work, *, branch: bool, dry_run: bool, note: Callable[[str], None]) -> Removal:
    repository, worktree = subject.repository, subject.worktree
    if subject.present and not dry_run:
        # In ignored places and in repositories inside, too, of which git says nothing here.
        shut_directories.open_all(worktree.path)
        if not shut_directories.open_up(git, worktree.path):
            raise errors.RemovalRefused(worktree.path, shut_directories.TOO_LONG)
    standing = work.standing(git, subject)
    files = standing.uncommitted
    # Ignored ones too: what is in them goes with the directory.
    inside = work.inside(git, subject)
    nested = state.describe(git, inside, subject.head)
    found = branches.find(git, repository, worktree.branch) if branch else None
    # One that somebody has checked out elsewhere is theirs.
    theirs = found and any(path != worktree.path for path in branches.checkouts(git, repository, found.name))
    deleted = None if theirs else found
    removal = Removal(
        path=worktree.path if subject.present else None,
        branch=deleted.name if deleted else None,
        unlanded_commits=branches.count(git, repository, subject.head, *subject.excluded),
        uncommitted_files=len(files) + state.outside(inside, nested),
        nested_repositories=nested,
    )
    if dry_run:
        return removal
    snapshot = staging.snapshot(git, worktree, standing) if files else None
    around = [subject.head, *([snapshot] if snapshot else [])]
    kept = keeping.keep(git, repository, subject.task_id, inside, around)
    saved = _save(git, subject, deleted, snapshot)
    if saved:
        note(saved.ref)
    if subject.present:
        _set_aside(git, repository, worktree.path)
        _forget_worktrees(git, repository, inside)
    else:
        registration.forget(git, repository, worktree.path)
    if deleted:
        # With the old value: a branch that has moved on stays.
        git(repository, "update-ref", "-d", f"refs/heads/{deleted.name}", deleted.head)
    return replace(
        removal,
        saved_ref=saved.ref if saved else None,
        saved_commit=saved.commit if saved else None,
        saved_repositories=kept,
    )


def _save(git: commands.Git, subject: Work, deleted: Branch | None, snapshot: str | None) -> saving.Saved | None:
    """Saves what nothing else leads to once the directory, and the branch if it is `deleted`, are gone."""
    repository, head = subject.repository, subject.head
    if deleted and not branches.contains(git, repository, head, deleted.head) and _is_own(git, subject, deleted.head):
        # The agent has left its branch for another history.
        _save_whole(git, subject, deleted.head)
    if snapshot:
        return _save_whole(git, subject, head, snapshot)
    earlier = saving.Saved.find(git, repository, subject.worktree.saved_ref)
    if earlier and earlier.head == head and not subject.present:
        # When the directory was removed, with what was not committed then.
        return earlier
    stays = branches.find(git, repository, subject.worktree.branch) if deleted is None else None
    if stays and branches.contains(git, repository, stays.head, head):
        return None
    return _save_whole(git, subject, head) if _is_own(git, subject, head) else None


def _save_whole(git: commands.Git, subject: Work, head: str, snapshot: str | None = None) -> saving.Saved:
    saved = saving.save(git, subject.repository, subject.task_id, head, snapshot)
    saving.verify(git, subject.repository, saved, subject.excluded)
    return saved


def _is_own(git: commands.Git, subject: Work, commit: str) -> bool:
    """Tells whether a commit is the task's own, and nowhere else."""
    others = [subject.worktree.base_commit, *([subject.target.head] if subject.target else [])]
    return not any(branches.contains(git, subject.repository, other, commit) for other in others)


def _set_aside(git: commands.Git, repository: str, path: str) -> None:
    """Takes a worktree away from its path and from git, in one step each; the files go later."""
    git_dirs.find(git, path)  # Not anything but a worktree.
    aside.put(path)
    with suppress(commands.GitFailed):
        # Twice forced: also one that is locked.
        git(repository, "worktree", "remove", "--force", "--force", "--", path)


def _forget_worktrees(git: commands.Git, repository: str, inside: Sequence[Nested]) -> None:
    """Has the repository forget its worktrees that were inside a directory that is gone; their branches stay."""
    for nested in inside:
        if nested.kind is NestedKind.WORKTREE and not os.path.lexists(nested.directory):
            with suppress(commands.GitFailed):
                git(repository, "worktree", "remove", "--force", "--force", "--", nested.directory)
