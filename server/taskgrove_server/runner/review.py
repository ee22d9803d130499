"""Shows the work of tasks: where it stands, its files, its diff, its commits, and whether it can land."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import LandStrategy, NestedRepository, Worktree
from taskgrove_server.runner.task_work import TaskWork, git_errors
from taskgrove_server.worktrees import branches, changes, clearing, commands, landing, moves, work
from taskgrove_server.worktrees.changes import ChangedFile, Commit, Compared, Patch
from taskgrove_server.worktrees.landing import Wish
from taskgrove_server.worktrees.nested import contents, publication, state
from taskgrove_server.worktrees.nested.contents import Compare
from taskgrove_server.worktrees.work import Work

#: Seconds for which the bytes of a worktree are counted.
_COUNTING = 2.0

#: Commits of others that a check shows.
OTHER_COMMITS = 20


@dataclass(frozen=True, slots=True)
class Status:
    """Where the work of a task stands; counts that need a target branch are 0 without one."""

    worktree: Worktree
    work: Work
    ahead: int
    behind: int
    uncommitted_files: int
    landed: bool
    size_bytes: int
    nested_repositories: tuple[NestedRepository, ...] = ()


@dataclass(frozen=True, slots=True)
class LandCheck:
    """Whether work can land; `obstacle` is what Land would raise."""

    work: Work
    commits: int
    obstacle: errors.TaskgroveError | None = None
    #: Of the commits that would land and are not the task's own, the newest, and how many there are.
    other_commits: Sequence[Commit] = ()
    other_commit_count: int = 0
    #: Worktrees inside the task's, of which something would not land, and a submodule that stands in the way.
    left_out: tuple[NestedRepository, ...] = ()


class Review:
    """Reads, and changes no branch and no worktree.

    Every method may raise TaskNotFound, NoWorktree, TaskListDeleted, WorkMissing, BranchNotFound and RepositoryFailed.
    """

    def __init__(self, works: TaskWork, git: commands.Git) -> None:
        self._works = works
        self._git = git

    def status(self, task_id: TaskId, target_branch: str) -> Status:
        """Returns where the work stands."""
        place = self._works.place(task_id)
        subject = self._works.look(place, target_branch)
        target = subject.target
        with git_errors():
            standing = work.standing(self._git, subject)
            inside = standing.repositories
            nested = state.describe(self._git, inside, subject.head)
            return Status(
                worktree=place.worktree,
                work=subject,
                ahead=branches.count(self._git, place.repository, subject.head, *subject.excluded) if target else 0,
                behind=branches.count(self._git, place.repository, target.head, subject.head) if target else 0,
                uncommitted_files=len(standing.uncommitted) + state.outside(inside, nested),
                landed=clearing.is_landed(self._git, subject),
                size_bytes=_size(place.worktree.path) if subject.present else 0,
                nested_repositories=nested,
            )

    def compare(self, task_id: TaskId, target_branch: str, *, committed_only: bool) -> tuple[Work, Compared]:
        """Returns what there is to compare, by ids that do not change any more."""
        subject = self._works.look(self._works.place(task_id), target_branch)
        with git_errors():
            return subject, changes.compare(self._git, subject, committed_only=committed_only)

    def changed_files(self, task_id: TaskId, compared: Compared, paths: Sequence[str] = ()) -> list[ChangedFile]:
        """Returns the files that differ, ordered by path."""
        with git_errors():
            place = self._works.place(task_id)
            subject = Compare(place.repository, place.worktree.path, compared, paths=tuple(paths))
            return contents.changed_files(self._git, subject)

    def patches(
        self,
        subject: Work,
        compared: Compared,
        files: Sequence[ChangedFile],
        paths: Sequence[str],
        *,
        context_lines: int,
        longest: int,
    ) -> Generator[ChangedFile | Patch]:
        """Yields each file and its patch; see contents.patches."""
        with git_errors():
            yield from contents.patches(
                self._git,
                Compare(subject.repository, subject.worktree.path, compared, paths=tuple(paths)),
                files,
                context_lines=context_lines,
                longest=longest,
            )

    def commit_range(self, task_id: TaskId, target_branch: str) -> tuple[str, tuple[str, ...]]:
        """Returns the head of the work, and the commits whose histories are not the task's."""
        subject = self._works.look(self._works.place(task_id), target_branch)
        return subject.head, subject.excluded

    def commits(self, task_id: TaskId, head: str, excluded: Sequence[str], skip: int, most: int) -> list[Commit]:
        """Returns up to `most` commits of such a range, the newest first, from behind `skip`."""
        with git_errors():
            return changes.commits(self._git, self._works.place(task_id).repository, head, excluded, skip, most)

    def check_land(self, task_id: TaskId, target_branch: str, strategy: LandStrategy) -> LandCheck:
        """Tells whether work can land, without touching anything."""
        place = self._works.place(task_id)
        subject = self._works.look(place, target_branch)
        with git_errors():
            commits = branches.count(self._git, place.repository, subject.head, *subject.excluded)
            standing = work.standing(self._git, subject)
            inside = standing.repositories
            left_out = state.left_out(self._git, inside, subject.head)
            try:
                if not place.task.state.rests:
                    raise errors.TaskActive(task_id, place.task.state)
                landing.require_finished(self._git, subject)
                if files := standing.uncommitted:
                    raise errors.WorktreeDirty(task_id, place.worktree.path, len(files))
                planned = landing.plan(self._git, subject, Wish(strategy), place.task.create_time)
                publication.check(self._git, subject)
                moves.plan(self._git, place.repository, planned.target, planned.commit)
            except errors.OtherCommits as obstacle:
                newest = changes.commits_of(self._git, place.repository, obstacle.commits[:OTHER_COMMITS])
                return LandCheck(subject, commits, obstacle, newest, obstacle.count, left_out)
            except errors.SubmoduleUnpublished as obstacle:
                told = [nested for nested in inside if nested.path == obstacle.metadata["path"]]
                left_out += state.describe(self._git, told, subject.head)
                return LandCheck(subject, commits, obstacle, left_out=left_out)
            except (
                errors.TaskActive,
                errors.WorktreeDirty,
                errors.WorkUnfinished,
                errors.NothingToLand,
                errors.LandConflict,
                errors.HistoriesUnrelated,
                errors.MergesNotRebasable,
                errors.CheckoutDirty,
                errors.FilesInTheWay,
                errors.TargetBusy,
                errors.BranchNotFound,
            ) as obstacle:
                return LandCheck(subject, commits, obstacle, left_out=left_out)
        return LandCheck(subject, commits, left_out=left_out)


def _size(path: str) -> int:
    """Returns the bytes of the files below a path, as far as they can be counted in a short time."""
    deadline = time.monotonic() + _COUNTING
    size = 0
    # Not by os.walk, which recurses: an agent's directories may be deeper than Python allows.
    waiting = [path]
    while waiting and time.monotonic() < deadline:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size
