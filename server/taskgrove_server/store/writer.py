"""One thread that makes all changes and commits those that wait as one group.

A commit costs a sync of the disk; a group shares one. With a connection a thread instead, writers queue up at
SQLite's lock, with 99th percentiles over a second on a real disk.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import peewee

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.store import refusing

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Changes that share one commit at most: bounds how long the first of them waits.
GROUP = 128


@dataclass(slots=True)
class Changed:
    """Collects the tasks that a change touched, whose watchers are woken once it is committed."""

    tasks: set[TaskId] = field(default_factory=set[TaskId])
    #: A hold began or ended, which is of no task.
    holds: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    change: Callable[[Changed], Any]
    future: Future[Any]


class Writer:
    """Runs changes in order. A future resolves only after its change is on disk."""

    def __init__(self, database: peewee.SqliteDatabase, committed: Callable[[frozenset[TaskId]], None]) -> None:
        self._database = database
        self._committed = committed
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[Changed], T]) -> Future[T]:
        """Queues a change. It runs in a transaction of its own: what it raises undoes it, and only it.

        The future fails with StoreUnavailable when the database could not take the change.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise errors.StoreUnavailable("the store is closed")
            self._queue.put(_Waiting(change, future))
        return future

    def close(self) -> None:
        """Makes the changes that wait, then ends the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._database.connection_context():
            ends = False
            while not ends:
                group, ends = self._next_group()
                self._commit(group)

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        waiting = self._queue.get()
        while waiting is not None:
            if waiting.future.set_running_or_notify_cancel():
                group.append(waiting)
            if len(group) >= GROUP or self._queue.empty():
                return group, False
            waiting = self._queue.get()
        return group, True

    def _commit(self, group: list[_Waiting]) -> None:
        if not group:
            return
        changed = Changed()
        done: list[tuple[_Waiting, Any]] = []
        try:
            with self._database.atomic("IMMEDIATE"):
                for waiting in group:
                    self._change(waiting, changed, done)
        except (peewee.PeeweeException, sqlite3.Error, OSError) as last:
            error = refusing.first(last)
            log.error("A group of %d changes could not be committed: %s", len(group), error)
            for waiting in group:
                if not waiting.future.done():
                    unstored = errors.StoreUnavailable(f"the change could not be stored: {error}")
                    waiting.future.set_exception(unstored)
            return
        # Whoever has an answer finds nothing that is older.
        if changed.tasks or changed.holds:
            self._committed(frozenset(changed.tasks))
        for waiting, value in done:
            waiting.future.set_result(value)

    def _change(self, waiting: _Waiting, changed: Changed, done: list[tuple[_Waiting, Any]]) -> None:
        mine = Changed()
        try:
            with self._database.savepoint():
                value = waiting.change(mine)
        except Exception as error:
            if refusing.is_outage(error):
                # Then no change of the group can be made.
                raise
            # The one who asked for the change gets it.
            waiting.future.set_exception(error)
        else:
            done.append((waiting, value))
            changed.tasks |= mine.tasks
            changed.holds |= mine.holds
