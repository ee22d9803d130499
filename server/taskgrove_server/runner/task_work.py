"""The way from a task to its work in a repository, which review, landing and clearing share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import commands, repositories, work
from taskgrove_server.worktrees.commits import CommitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.work import Work


@dataclass(frozen=True, slots=True)
class Place:
    """A task that has a worktree, and where that is."""

    task: Task
    worktree: Worktree
    repository: str
    #: The branch that the list names for its tasks to start from, if any.
    base_branch: str
    task_list_title: str


class TaskWork:
    """Finds the work of tasks."""

    def __init__(self, store: Store, git: commands.Git) -> None:
        self._store = store
        self._git = git

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
            # The worktree itself knows its repository as long as it is there.
            repository = repositories.of_worktree(self._git, worktree.path)
            if repository is None:
                raise errors.TaskListDeleted(task.id, task.task_list_id) from None
            return Place(task, worktree, repository, "", "")
        if task_list.working_dir is None:
            raise errors.NoWorktree(task.id)
        base_branch = task_list.worktree_settings.base_branch
        return Place(task, worktree, task_list.working_dir, base_branch, task_list.title)

    def look(self, place: Place, target_branch: str = "") -> Work:
        """Returns where the work stands; raises BranchNotFound, WorkMissing and RepositoryFailed."""
        with git_errors():
            return work.look(
                self._git,
                place.repository,
                place.task.id,
                place.worktree,
                target_branch=target_branch,
                base_branch=place.base_branch,
            )


@contextmanager
def git_errors() -> Generator[None]:
    """Turns what git has to say into RepositoryFailed."""
    try:
        yield
    except (commands.GitFailed, WorktreeFailed, CommitFailed, OSError) as error:
        raise errors.RepositoryFailed(str(error)) from error
