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
    #: The best commit that the head has in common with the target; None without a target, or with another history.
    common: str | None

    @property
    def excluded(self) -> tuple[str, ...]:
        """Returns the commits whose histories are not the task's work."""
        return (self.base, self.target.head) if self.target else (self.base,)

    @property
    def is_landed(self) -> bool:
        """Tells whether everything that the task has committed is on the target branch."""
        return self.target is not None and self.head in (self.base, self.common)


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
    present = registration.is_sound(worktree.path, git_dirs.find(git, repository).common)
    at = _checked_out(worktree.path) if present else None
    wanted = (target_branch,) if target_branch else (base_branch, branches.checked_out(git, repository))
    # All in one question: git takes longer to start than to answer.
    found = branches.find_all(git, repository, filter(None, (*wanted, at, worktree.branch)))
    target = next((found[name] for name in wanted if name and name in found), None)
    if target is None and target_branch:
        raise errors.BranchNotFound(target_branch)
    if at and at in found:
        head = found[at].head
    else:
        head = _head(git, repository, task_id, worktree, present=present, tip=found.get(worktree.branch))
    common = branches.common(git, repository, target.head, head) if target else None
    base = _base(git, repository, worktree, head, target, common)
    return Work(task_id, repository, worktree, present, head, target, base, common)


def apart(git: commands.Git, work: Work) -> tuple[int, int]:
    """Counts the commits that the work has and its target has not, and the other way round; 0 without a target."""
    if work.target is None:
        return 0, 0
    head, target = work.head, work.target.head
    if work.common is None:
        # The base may be a part of the target alone.
        ahead = branches.count(git, work.repository, head, *work.excluded)
        return ahead, branches.count(git, work.repository, target, head)
    if head == target:
        return 0, 0
    question = ("rev-list", "--count", "--left-right", f"{head}...{target}", f"^{work.base}")
    counts = git(work.repository, *question).split()
    return int(counts[0]), int(counts[1])


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


def _checked_out(path: str) -> str | None:
    """Returns the branch that a worktree has checked out; None if its HEAD is detached, or its file does not tell."""
    dirs = git_dirs.read(path)
    ref = git_dirs.head(dirs.own) if dirs else None
    return branches.name_of(ref) if ref else None


def _head(
    git: commands.Git,
    repository: str,
    task_id: TaskId,
    worktree: Worktree,
    *,
    present: bool,
    tip: branches.Branch | None,
) -> str:
    if present and (head := branches.commit(git, worktree.path, "HEAD")):
        return head
    if tip:
        return tip.head
    if saved := saving.Saved.find(git, repository, worktree.saved_ref):
        return saved.head
    if worktree.head_commit and (recorded := branches.commit(git, repository, worktree.head_commit)):
        return recorded
    raise errors.WorkMissing(task_id)


def _base(
    git: commands.Git,
    repository: str,
    worktree: Worktree,
    head: str,
    target: branches.Branch | None,
    common: str | None,
) -> str:
    landing = worktree.landing
    if (
        landing is not None
        and target is not None
        # The landing was not undone, and the task has gone on from what was landed.
        and _has(git, repository, target.head, landing.commit)
        and _has(git, repository, head, landing.head_commit)
        and (common is None or branches.contains(git, repository, landing.head_commit, common))
    ):
        return landing.head_commit
    return common or worktree.base_commit


def _has(git: commands.Git, repository: str, commit: str, part: str) -> bool:
    """Tells whether a commit has all that another one has, of which it is not known whether it is still there."""
    if commit == part:
        return True
    return branches.commit(git, repository, part) is not None and branches.contains(git, repository, commit, part)
