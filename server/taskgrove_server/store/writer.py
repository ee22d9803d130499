"""One thread that makes all changes and commits those that wait as one group.

A commit costs a sync of the disk; a group shares one. With a connection a thread instead, writers queue up at
SQLite's lock, with 99th percentiles over a second on a real disk.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import peewee

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.guarding import Steady, Troubles, guarded
from taskgrove_server.store import models, refusing
from taskgrove_server.store.database import BUSY_TIMEOUT

T = TypeVar("T")

#: Changes that share one commit at most: bounds how long the first of them waits.
GROUP = 128

#: Seconds after which a database that was out of order is tried again, if no change comes meanwhile.
PROBE_INTERVAL = 1.0

#: What is in trouble while the database is out of order.
STORE = "store"


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
    """Runs changes in order. A future resolves only after its change is on disk, and it does resolve."""

    def __init__(
        self,
        database: peewee.SqliteDatabase,
        committing: Callable[[frozenset[TaskId]], None],
        committed: Callable[[frozenset[TaskId]], None],
        troubles: Troubles,
    ) -> None:
        self._database = database
        self._committing = committing
        self._committed = committed
        self._troubles = troubles
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._out_of_order = False
        self._thread = Steady("store-writer", self._work, troubles, vital=True, leave=database.close)
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

    def _work(self) -> None:
        """Makes the next changes. Whatever is raised, all of them are answered."""
        group: list[_Waiting] = []
        try:
            self._gather(group)
            self._make_ready()
            if group:
                self._commit(group)
            elif self._out_of_order:
                self._probe()
        except (peewee.PeeweeException, sqlite3.Error, OSError) as last:
            # No pause: who asks next is to be told at once that the store is out of order.
            error = refusing.first(last)
            unstored = errors.StoreUnavailable(f"the change could not be stored: {error}")
            self._troubles.note(STORE, unstored, vital=True)
            _refuse(group, unstored)
            self._out_of_order = True
        except BaseException as error:
            self._out_of_order = True
            _refuse(group, errors.StoreUnavailable(f"the change may not have been stored: {type(error).__name__}"))
            raise

    def _gather(self, group: list[_Waiting]) -> None:
        """Waits for changes and takes those that are there; none when the database is to be probed, or at the end."""
        try:
            waiting = self._queue.get(timeout=PROBE_INTERVAL if self._out_of_order else None)
        except queue.Empty:
            return
        while waiting is not None:
            if waiting.future.set_running_or_notify_cancel():
                group.append(waiting)
            if len(group) >= GROUP or self._queue.empty():
                return
            waiting = self._queue.get()
        self._thread.stop()

    def _make_ready(self) -> None:
        """Has a connection with no transaction open: one that could not be undone keeps the next from beginning."""
        self._database.connect(reuse_if_open=True)
        connect: Callable[[], sqlite3.Connection] = self._database.connection
        if (connection := connect()).in_transaction:
            connection.rollback()

    def _commit(self, group: list[_Waiting]) -> None:
        changed = Changed()
        done: list[tuple[_Waiting, Any]] = []
        with self._database.atomic("IMMEDIATE"):
            for waiting in group:
                self._change(waiting, changed, done)
            if changed.tasks:
                self._committing(frozenset(changed.tasks))
        self._note_order()
        # Whoever has an answer finds nothing that is older.
        if changed.tasks or changed.holds:
            guarded("wake-ups", lambda: self._committed(frozenset(changed.tasks)), self._troubles)
        for waiting, value in done:
            waiting.future.set_result(value)

    def _probe(self) -> None:
        """Makes a change that changes nothing. It waits for no other process, or who asks meanwhile would wait, too."""
        self._database.pragma("busy_timeout", 0)
        try:
            with self._database.atomic("IMMEDIATE"):
                self._database.pragma("user_version", self._database.pragma("user_version"))
        finally:
            self._database.pragma("busy_timeout", int(BUSY_TIMEOUT * 1000))
        self._note_order()

    def _note_order(self) -> None:
        self._out_of_order = False
        self._troubles.clear(STORE)

    def _change(self, waiting: _Waiting, changed: Changed, done: list[tuple[_Waiting, Any]]) -> None:
        mine = Changed()
        try:
            with _savepoint():
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


@contextlib.contextmanager
def _savepoint() -> Generator[None]:
    """Undoes what is changed within it, and only that, when something is raised.

    Peewee's own takes five times as long, as it gives each a name.
    """
    models.run("SAVEPOINT change")
    try:
        yield
    except BaseException:
        models.run("ROLLBACK TO change")
        models.run("RELEASE change")
        raise
    models.run("RELEASE change")


def _refuse(group: list[_Waiting], error: errors.StoreUnavailable) -> None:
    for waiting in group:
        if not waiting.future.done():
            waiting.future.set_exception(error)
