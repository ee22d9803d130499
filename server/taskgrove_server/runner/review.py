"""Shows the work of tasks: where it stands, its files, its diff, its commits, and whether it can land."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import LandStrategy, NestedRepository, Worktree
from taskgrove_server.runner.listings import Key, Listing, Listings
from taskgrove_server.runner.task_work import TaskWork, git_errors
from taskgrove_server.worktrees import changes, commands, landing, moves, work
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

    def __init__(self, works: TaskWork, listings: Listings, git: commands.Git) -> None:
        self._works = works
        self._listings = listings
        self._git = git

    def status(self, task_id: TaskId, target_branch: str) -> Status:
        """Returns where the work stands."""
        place = self._works.place(task_id)
        subject = self._works.look(place, target_branch)
        with git_errors(), _counted(place.worktree.path if subject.present else None) as size:
            ahead, behind = work.apart(self._git, subject)
            standing = work.standing(self._git, subject)
            inside = standing.repositories
            nested = state.describe(self._git, inside, subject.head)
            return Status(
                worktree=place.worktree,
                work=subject,
                ahead=ahead,
                behind=behind,
                uncommitted_files=len(standing.uncommitted) + state.outside(inside, nested),
                landed=subject.is_landed,
                size_bytes=size(),
                nested_repositories=nested,
            )

    def compare(self, task_id: TaskId, target_branch: str, *, committed_only: bool) -> tuple[Work, Compared]:
        """Returns what there is to compare, by ids that do not change any more."""
        subject = self._works.look(self._works.place(task_id), target_branch)
        with git_errors():
            return subject, changes.compare(self._git, subject, committed_only=committed_only)

    def changed_files(self, task_id: TaskId, compared: Compared, paths: Sequence[str] = ()) -> Listing:
        """Returns the files that differ, ordered by path; from an earlier call, if that is not long ago."""
        with git_errors():
            place = self._works.place(task_id)
            subject = Compare(place.repository, place.worktree.path, compared, paths=tuple(paths))
            make = functools.partial(contents.changed_files, self._git, subject)
            if paths:
                return Listing.of(make())
            return self._listings.get(Key(task_id, compared.base, compared.tree), make)

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
            coming = landing.coming(self._git, subject)
            commits = len(coming)
            standing = work.standing(self._git, subject)
            inside = standing.repositories
            left_out = state.left_out(self._git, inside, subject.head)
            try:
                if not place.task.state.rests:
                    raise errors.TaskActive(task_id, place.task.state)
                landing.require_finished(self._git, subject, standing)
                if files := standing.uncommitted:
                    raise errors.WorktreeDirty(task_id, place.worktree.path, len(files))
                planned = landing.plan(self._git, subject, Wish(strategy), coming, place.task.create_time)
                publication.check(self._git, subject)
                moves.plan(self._git, place.repository, planned.target, planned.result)
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


@contextmanager
def _counted(path: str | None) -> Generator[Callable[[], int]]:
    """Counts the bytes below a path, beside git's work inside; yields what returns them, 0 without a path."""
    counting = ThreadPoolExecutor(1, thread_name_prefix="counting")
    try:
        size = counting.submit(_size, path) if path else None
        yield lambda: size.result() if size else 0
    finally:
        counting.shutdown(wait=False)


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
                    continue
                try:
                    size += entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
    return size
