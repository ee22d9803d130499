"""Where the work of a task stands: its head, its base, and the branch that it is meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import branches, commands, git_dirs, registration, saving, staging
from taskgrove_server.worktrees.nested import finding
from taskgrove_server.worktrees.nested.repositories import Nested
from taskgrove_server.worktrees.staging import Standing


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a task at one moment; full commit ids."""

    task_id: TaskId
    repository: str
    worktree: Worktree
    #: The worktree's directory is there, and is still a worktree of the repository.
    present: bool
    #: The last commit of the task.
    head: str
    #: None when no branch was named and none is checked out.
    target: branches.Branch | None
    #: The commit from which on the work is the task's own. Equal to `head` when there is nothing beyond the target.
    base: str

    @property
    def excluded(self) -> tuple[str, ...]:
        """Returns the commits whose histories are not the task's work."""
        return (self.base, self.target.head) if self.target else (self.base,)


def look(
    git: commands.Git,
    repository: str,
    task_id: TaskId,
    worktree: Worktree,
    *,
    target_branch: str = "",
    base_branch: str = "",
) -> Work:
    """Returns where the work stands.

    `target_branch` is the branch that a caller names, `base_branch` the one of the list. Raises BranchNotFound when
    the former does not exist, WorkMissing when nothing of the task is left, and GitFailed.
    """
    target = find_target(git, repository, target_branch, base_branch)
    present = _is_present(git, repository, worktree.path)
    head = _head(git, repository, task_id, worktree, present=present)
    return Work(task_id, repository, worktree, present, head, target, _base(git, repository, worktree, head, target))


def find_target(git: commands.Git, repository: str, named: str, base_branch: str) -> branches.Branch | None:
    """Returns the branch that work is meant for; raises BranchNotFound for a named one that does not exist."""
    if named:
        found = branches.find(git, repository, named)
        if found is None:
            raise errors.BranchNotFound(named)
        return found
    for name in filter(None, (base_branch, branches.checked_out(git, repository))):
        if found := branches.find(git, repository, name):
            return found
    return None


def standing(git: commands.Git, work: Work) -> Standing:
    """Returns what there is in the worktree; nothing when it is not there."""
    return staging.look(git, work.worktree) if work.present else Standing()


def uncommitted(git: commands.Git, work: Work) -> Sequence[str]:
    """Returns the files that a commit of the worktree would take; none when it is not there."""
    return standing(git, work).uncommitted


def inside(git: commands.Git, work: Work) -> Sequence[Nested]:
    """Returns all repositories inside the worktree, ignored ones too, and such without a checkout."""
    return finding.find(git, work.worktree.path, work.worktree.base_commit, thorough=True) if work.present else ()


def shown_base(git: commands.Git, work: Work) -> str:
    """Returns the commit that work is compared with for people: once all is landed, that from which it started."""
    own = work.worktree.base_commit
    if work.base == work.head and branches.contains(git, work.repository, work.head, own):
        return own
    return work.base


def _is_present(git: commands.Git, repository: str, path: str) -> bool:
    # From the files alone as a rule: two processes would take twice as long as all that is read.
    common = (git_dirs.read(repository) or git_dirs.of(git, repository)).common
    return registration.is_sound(path, common)


def _head(git: commands.Git, repository: str, task_id: TaskId, worktree: Worktree, *, present: bool) -> str:
    if present and (head := branches.commit(git, worktree.path, "HEAD")):
        return head
    if tip := branches.tip(git, repository, worktree.branch):
        return tip
    if saved := saving.Saved.find(git, repository, worktree.saved_ref):
        return saved.head
    if worktree.head_commit and (recorded := branches.commit(git, repository, worktree.head_commit)):
        return recorded
    raise errors.WorkMissing(task_id)


def _base(git: commands.Git, repository: str, worktree: Worktree, head: str, target: branches.Branch | None) -> str:
    base = branches.common(git, repository, target.head, head) if target else None
    landing = worktree.landing
    if (
        landing is not None
        and target is not None
        # The landing was not undone, and the task has gone on from what was landed.
        and branches.commit(git, repository, landing.commit)
        and branches.contains(git, repository, target.head, landing.commit)
        and branches.commit(git, repository, landing.head_commit)
        and branches.contains(git, repository, head, landing.head_commit)
        and (base is None or branches.contains(git, repository, landing.head_commit, base))
    ):
        return landing.head_commit
    return base or worktree.base_commit
