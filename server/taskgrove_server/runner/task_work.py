"""The way from a task to its work in a repository, which review, landing and clearing share."""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Worktree, WorktreeState
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import commands, git_dirs, repositories, work
from taskgrove_server.worktrees.commits import CommitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.work import Work
from taskgrove_server.worktrees.worktrees import Worktrees


@dataclass(frozen=True, slots=True)
class Place:
    """A task that has a worktree, and where that is."""

    task: Task
    worktree: Worktree
    #: The directory of the list; the git directory, or the main checkout, once that is no checkout of it any more.
    repository: str
    #: The branch that the list names for its tasks to start from, if any.
    base_branch: str
    task_list_title: str


class TaskWork:
    """Finds the work of tasks."""

    def __init__(self, store: Store, worktrees: Worktrees) -> None:
        self._store = store
        self._worktrees = worktrees
        self._git = worktrees.git

    def place(self, task_id: TaskId) -> Place:
        """Returns where a task's work is; raises TaskNotFound, NoWorktree and TaskListDeleted."""
        return self.place_of(self._store.tasks.get(task_id))

    def place_of(self, task: Task) -> Place:
        """As `place`, for a task as it was read."""
        worktree = task.worktree
        if worktree is None:
            raise errors.NoWorktree(task.id)
        try:
            task_list = self._store.task_lists.get(task.task_list_id)
        except errors.TaskListNotFound:
            repository = self._of_deleted_list(worktree)
            if repository is None:
                raise errors.TaskListDeleted(task.id, task.task_list_id) from None
            return Place(task, worktree, repository, "", "")
        if task_list.working_dir is None:
            raise errors.NoWorktree(task.id)
        base_branch = task_list.worktree_settings.base_branch
        repository = repositories.standing_for(task_list.working_dir, worktree.common_dir)
        return Place(task, worktree, repository, base_branch, task_list.title)

    def look(self, place: Place, target_branch: str = "") -> Work:
        """Returns where the work stands; raises BranchNotFound, WorkMissing and RepositoryFailed.

        The worktree of a task that rests is registered with its repository again if need be, before it is believed to
        be gone; RepositoryFailed says why that cannot be done.
        """
        with git_errors():
            if place.task.state.rests and place.worktree.state is WorktreeState.PRESENT:
                # Once more under the lock: an agent may have begun to work, or the worktree been removed.
                left_alone = functools.partial(self._is_left_alone, place.task.id)
                self._worktrees.mend(place.repository, place.worktree, may=left_alone)
            return work.look(
                self._git,
                place.repository,
                place.task.id,
                place.worktree,
                target_branch=target_branch,
                base_branch=place.base_branch,
            )

    def _is_left_alone(self, task_id: TaskId) -> bool:
        task = self._store.tasks.get(task_id)
        return task.state.rests and task.worktree is not None and task.worktree.state is WorktreeState.PRESENT

    def _of_deleted_list(self, worktree: Worktree) -> str | None:
        known = worktree.common_dir
        # What was discarded needs its list, to be begun anew.
        if known is not None and worktree.state is not WorktreeState.DISCARDED and git_dirs.read(known) is not None:
            return git_dirs.main_checkout(known)
        # The worktree itself knows its repository as long as it is there.
        return repositories.of_worktree(self._git, worktree.path)


@contextmanager
def git_errors() -> Generator[None]:
    """Turns what git has to say into RepositoryFailed."""
    try:
        yield
    except (commands.GitFailed, WorktreeFailed, CommitFailed, OSError) as error:
        raise errors.RepositoryFailed(str(error)) from error
