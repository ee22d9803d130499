"""Removes what has rested for long: tasks with all that belongs to them, or only their logs.

What is to be removed is asked of the store again in the transaction that removes it: a task that was continued
meanwhile stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from taskgrove_server.domain import errors, log_names
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.guarding import Tellable
from taskgrove_server.runner.clearing import Clearing, Due
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.runner.steady_time import SteadyTime
from taskgrove_server.store.retention import START
from taskgrove_server.store.store import Store
from taskgrove_server.store.task_rows import RestedSince

log = logging.getLogger(__name__)

#: Seconds of a round in which tasks are deleted; other chores wait meanwhile.
ROUND = 20.0

#: Tasks that are looked up together.
_PAGE = 100

#: Tasks whose logs one change takes: calls wait for it for about two milliseconds.
_LOGS = 25

#: Seconds after which a task is tried again that could not be deleted; twice as long after each further try.
SHORTEST_PAUSE = 60.0
LONGEST_PAUSE = 3600.0


class NotDeleted(Tellable):
    """Tasks are due and stay, for what they hold could not be saved or removed."""


@dataclass(frozen=True, slots=True)
class Spans:
    """How long tasks rest before they are deleted, and before their logs are; None means for ever."""

    tasks: timedelta | None = None
    logs: timedelta | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """Why a task could not be deleted, and when it is tried again."""

    why: str
    next_try: float
    pause: float


class Retention:
    """Removes in rounds, which end soon once `stopped` says so; see Housekeeping."""

    def __init__(
        self, store: Store, clearing: Clearing, log_files: LogFiles, spans: Spans, steady_time: SteadyTime
    ) -> None:
        self._store = store
        self._clearing = clearing
        self._log_files = log_files
        self._spans = spans
        self._steady_time = steady_time
        self._kept: dict[TaskId, _Kept] = {}

    def delete_tasks(self, stopped: Callable[[], bool]) -> None:
        """Deletes tasks that are due, their work saved; raises NotDeleted when some of them cannot be."""
        if self._spans.tasks is None or (now := self._steady_time.now()) is None:
            return
        due = Due(now - self._spans.tasks, stopped)
        end = time.monotonic() + ROUND
        seen: set[TaskId] = set()
        after = START
        while page := self._store.retention.tasks(due.rested_before, after, _PAGE):
            after = page[-1][0]
            for _, task_id in page:
                if stopped() or time.monotonic() >= end:
                    self._tell()
                    return
                seen.add(task_id)
                self._delete(task_id, due)
        for task_id in self._kept.keys() - seen:
            del self._kept[task_id]
        self._tell()

    def remove_logs(self, stopped: Callable[[], bool]) -> None:
        """Removes the logs of tasks that are due, and leaves the tasks as they are."""
        if self._spans.logs is None or (now := self._steady_time.now()) is None:
            return
        before = now - self._spans.logs
        count = 0
        after = START
        while not stopped() and (page := self._store.retention.with_logs(before, after, _LOGS)):
            after = page[-1][0]
            task_ids = [task_id for _, task_id in page]
            names = self._store.retention.remove_logs(task_ids, before).result()
            # Those that stay are told of by the chore that tries again.
            self._log_files.remove(names)
            count += sum(log_names.of_setup(task_id) in names for task_id in task_ids)
        if count:
            log.info("The logs of %d tasks were removed, which had rested for %s", count, self._spans.logs)

    def _delete(self, task_id: TaskId, due: Due) -> None:
        kept = self._kept.get(task_id)
        if kept is not None and time.monotonic() < kept.next_try:
            return
        try:
            deleted = self._clearing.delete(task_id, discard_worktree=True, due=due)
        except (errors.TaskNotFound, errors.TaskActive, errors.WorktreeBusy, RestedSince):
            # Somebody has come to work on it.
            self._kept.pop(task_id, None)
        except errors.StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one, the others are deleted
            self._keep(task_id, error)
        else:
            self._kept.pop(task_id, None)
            saved = f"; its work is saved at {deleted.saved_ref}" if deleted.saved_ref else ""
            log.info("Task %s was deleted, which had rested for %s%s", task_id, self._spans.tasks, saved)

    def _keep(self, task_id: TaskId, error: Exception) -> None:
        before = self._kept.get(task_id)
        pause = min(2 * before.pause, LONGEST_PAUSE) if before else SHORTEST_PAUSE
        why = f"{type(error).__name__}: {error}"
        self._kept[task_id] = _Kept(why, time.monotonic() + pause, pause)
        if before is None or before.why != why:
            trace = None if isinstance(error, errors.TaskgroveError) else error
            log.warning("Task %s is due to be deleted, and stays: %s", task_id, error, exc_info=trace)

    def _tell(self) -> None:
        if self._kept:
            # Not in the words of the error: git's may hold anything, even a password.
            first = next(iter(self._kept))
            raise NotDeleted(
                f"Due to be deleted, and kept: {len(self._kept)}, such as task {first}, whose work could not be saved, "
                "or not be removed; the server's log says why"
            )
