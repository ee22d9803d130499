"""Removes worktrees and branches that were begun for tasks which have come to rest without them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.runner import shortages
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.commands import GitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.worktrees import Worktrees


class Begun:
    """Looks through the repositories of all lists, where git itself could not clear away what it had begun.

    What the machine was short of, so that no worktree could be made, is short for that as well. A task that waits has
    it cleared away before it begins again; one that is cancelled meanwhile does not.
    """

    def __init__(self, store: Store, worktrees: Worktrees) -> None:
        self._store = store
        self._worktrees = worktrees
        #: Set at first too: nobody knows what a server that was killed had begun.
        self._suspected = threading.Event()
        self._suspected.set()

    def suspect(self) -> None:
        """Notes that something may have been begun and be left."""
        self._suspected.set()

    def remove(self, stopped: Callable[[], bool]) -> None:
        """Removes what no task is going to use, if there may be anything."""
        if not self._suspected.is_set():
            return
        self._suspected.clear()
        for task_list in self._store.task_lists.all():
            if stopped():
                return
            if task_list.working_dir is not None:
                self._look_through(task_list, task_list.working_dir)

    def _look_through(self, task_list: TaskList, repository: str) -> None:
        settings = task_list.worktree_settings
        try:
            for task_id, branch in self._worktrees.begun(repository, settings.branch_prefix):
                # Once more under the repository's lock: the task may be done again by then.
                if self._is_without(task_id):
                    self._worktrees.remove_begun(
                        repository,
                        task_id,
                        branch,
                        base_branch=settings.base_branch,
                        may=functools.partial(self._is_without, task_id),
                    )
        except (GitFailed, WorktreeFailed, OSError) as error:
            # A repository that is away has nothing to be removed.
            if shortages.of(error):
                self.suspect()

    def _is_without(self, task_id: TaskId) -> bool:
        """Tells whether a task rests that has no worktree."""
        try:
            task = self._store.tasks.get(task_id)
        except errors.TaskNotFound:
            return False
        return task.state.rests and task.worktree is None
