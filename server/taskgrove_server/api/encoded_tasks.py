"""Tasks as callers are answered them: encoded once, and kept until a commit changes them.

Each is kept as a whole GetTaskResponse. A page is several of them, one after the other: messages that follow each
other are read as one, and a page's field of tasks is the same field.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterable
from enum import Enum, auto

from taskgrove_server.domain.ids import TaskId

#: Bytes of encoded tasks that are kept: of those that have no long texts, some ten thousand.
KEPT = 32 << 20

#: About what Python takes for a kept task besides its bytes.
_OVERHEAD = 400


class View(Enum):
    """How much is told of a task."""

    FULL = auto()
    SUMMARY = auto()


class Reading:
    """A read of the store that goes on. See EncodedTasks.reading."""

    def __init__(self, tasks: EncodedTasks, changed: Iterable[TaskId]) -> None:
        self._tasks = tasks
        #: What has changed since it began, or is changing: what it finds of them may be of before or of after.
        self.changed = set(changed)

    def kept(self, task_ids: Iterable[TaskId], view: View) -> dict[TaskId, bytes]:
        """Returns those tasks that are kept, and are as this read finds them."""
        return self._tasks.unchanged(self, task_ids, view)

    def keep(self, task_id: TaskId, view: View, encoded: bytes) -> None:
        """Keeps what this read has found, unless the task has changed meanwhile."""
        self._tasks.keep(self, task_id, view, encoded)


class EncodedTasks:
    """What is kept is never older than the store, and never newer than what a read that asks for it finds there.

    That takes two calls for each commit, one before it is made and one after: between them some readers see what it
    changes, and others do not yet.
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        #: The one that was asked for last is the last.
        self._kept: OrderedDict[tuple[TaskId, View], bytes] = OrderedDict()
        self._size = 0
        self._changing: frozenset[TaskId] = frozenset()
        self._readings: set[Reading] = set()

    def changing(self, task_ids: frozenset[TaskId]) -> None:
        """Tells that a commit is about to change tasks. One that fails is followed by another, or by nothing."""
        with self._lock:
            self._changing = task_ids
            for reading in self._readings:
                reading.changed |= task_ids
            for task_id in task_ids:
                for view in View:
                    self._drop((task_id, view))

    def changed(self, _task_ids: frozenset[TaskId]) -> None:
        """Tells that the commit was made: who reads from now on finds what it has changed."""
        with self._lock:
            self._changing = frozenset()

    def get(self, task_id: TaskId, view: View) -> bytes | None:
        """Returns a task as the store has it, None when it is not kept."""
        with self._lock:
            return self._find((task_id, view))

    @contextlib.contextmanager
    def reading(self) -> Generator[Reading]:
        """Has changes noted that are made while the store is read. To be entered before the read begins."""
        with self._lock:
            reading = Reading(self, self._changing)
            self._readings.add(reading)
        try:
            yield reading
        finally:
            with self._lock:
                self._readings.discard(reading)

    def unchanged(self, reading: Reading, task_ids: Iterable[TaskId], view: View) -> dict[TaskId, bytes]:
        """See Reading.kept."""
        with self._lock:
            wanted = (task_id for task_id in task_ids if task_id not in reading.changed)
            return {task_id: found for task_id in wanted if (found := self._find((task_id, view))) is not None}

    def keep(self, reading: Reading, task_id: TaskId, view: View, encoded: bytes) -> None:
        """See Reading.keep."""
        with self._lock:
            if task_id in reading.changed:
                return
            self._drop((task_id, view))
            self._kept[task_id, view] = encoded
            self._size += len(encoded) + _OVERHEAD
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def _find(self, key: tuple[TaskId, View]) -> bytes | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def _drop(self, key: tuple[TaskId, View]) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._size -= len(dropped) + _OVERHEAD
