"""What calls do to worktrees of resting tasks: one at a time, and noted, so that a killed server leaves no riddle."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Landing
from taskgrove_server.runner.task_work import TaskWork
from taskgrove_server.store.store import Store
from taskgrove_server.store.worktrees import Operation
from taskgrove_server.worktrees import branches, commands, moves
from taskgrove_server.worktrees.locks import RepositoryLocks, WorktreeFailed

log = logging.getLogger(__name__)


class Operations:
    """Notes what is done to worktrees, so that two calls do not meet, and sees to what a killed server left."""

    def __init__(self, store: Store, works: TaskWork, git: commands.Git, locks: RepositoryLocks) -> None:
        self._store = store
        self._works = works
        self._git = git
        self._locks = locks
        #: How many calls each task has here. One too many is refused, while the other still works.
        self._mine: Counter[TaskId] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def on(self, task_id: TaskId, operation: Operation, rested_before: datetime | None = None) -> Generator[Task]:
        """Holds a resting task's worktree; raises TaskNotFound, TaskActive, NoWorktree, WorktreeBusy and RestedSince.

        What is done inside ends the note by recording what came of it; an error ends it otherwise.
        """
        with self._counted(task_id):
            task = self._store.worktrees.begin(task_id, operation, rested_before).result()
            try:
                yield task
            finally:
                self._settle(task_id)

    def settle(self) -> None:
        """Ends the notes of calls that are over, as of a server that was killed."""
        for task_id in self._store.worktrees.in_operation():
            with self._lock:
                going_on = self._mine[task_id] > 0
            if not going_on:
                self._settle(task_id)

    @contextmanager
    def _counted(self, task_id: TaskId) -> Generator[None]:
        with self._lock:
            self._mine[task_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._mine[task_id] -= 1
                # Keeps those above 0 alone.
                self._mine += Counter()

    def _settle(self, task_id: TaskId) -> None:
        """Ends a note, if there is one: by recording a landing that was done, else with nothing."""
        try:
            noted = self._store.worktrees.operation(task_id)
            if noted is None:
                return
            task, operation = noted
            planned = operation.landing
            if planned is not None and self._is_done(task, planned):
                self._store.worktrees.landed(task_id, planned, operation.request).result()
                log.warning("Task %s had landed on %s, which is recorded now", task_id, planned.target_branch)
            else:
                self._store.worktrees.leave(task_id).result()
        except errors.StoreUnavailable as error:
            # Housekeeping comes back to it.
            log.error("What became of the worktree of task %s could not be recorded: %s", task_id, error)

    def _put_back(self, repository: str) -> None:
        try:
            with self._locks.exclusively(repository):
                moves.recover(self._git, repository)
        except (WorktreeFailed, OSError) as error:
            log.error("What a landing had set aside in a checkout of %s stays there: %s", repository, error)

    def _is_done(self, task: Task, planned: Landing) -> bool:
        try:
            repository = self._works.place_of(task).repository
            self._put_back(repository)
            target = branches.tip(self._git, repository, planned.target_branch)
            return target is not None and branches.contains(self._git, repository, target, planned.commit)
        except (commands.GitFailed, errors.TaskgroveError, OSError) as error:
            log.warning("Task %s: whether it has landed cannot be told: %s", task.id, error)
            return False
