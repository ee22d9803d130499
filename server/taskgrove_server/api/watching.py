"""The stream of a watched task. Everything is read by position, so that a slow watcher loses nothing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator

from taskgrove.v1 import task_service_pb2 as messages
from taskgrove.v1.event_service_pb2 import WatchEventsRequest
from taskgrove_server.api import conversions
from taskgrove_server.api.front import Reads
from taskgrove_server.api.limits import StreamLimit
from taskgrove_server.api.log_reads import LogReads
from taskgrove_server.api.pieces import Pieces
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Run
from taskgrove_server.domain.task import Task
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.reading import LogReader
from taskgrove_server.journal.wakeups import Subscription, Wakeups
from taskgrove_server.store.store import Store

_Response = messages.WatchTaskResponse

#: A message, or one that is encoded already.
Event = messages.WatchTaskResponse | bytes

#: Seconds of silence after which a heartbeat is sent, unless the request says otherwise.
HEARTBEAT = 15.0


class Watching:
    """Makes watches."""

    def __init__(
        self,
        store: Store,
        reads: Reads,
        journal: Journal,
        logs: LogReads,
        wakeups: Wakeups,
        limit: StreamLimit,
    ) -> None:
        self._limit = limit
        self._logs = logs
        self._pieces = Pieces()
        self._store = store
        self._reads = reads
        self._journal = journal
        self._wakeups = wakeups

    async def watch(self, request: messages.WatchTaskRequest) -> AsyncIterator[Event]:
        """Yields the events of a task, `opened` first and `rested` last; those with lines are encoded already.

        Without `rested` when lines are removed before they were read: the caller is to come back. Raises TaskNotFound,
        LineOutOfRange, LogLost, TooManyWatchers and ServerDraining.
        """
        with self._limit.place(), self._wakeups.subscribe(TaskId(request.task_id)) as subscription:
            # Looked up first: the journal forgets a run that ends, and the task may have been read before that.
            growing = self._journal.last_line(subscription.task_id, 0)
            snapshot = told = await self._reload(subscription)
            last_line = max(growing, self._journal.last_line(subscription.task_id, snapshot.task.last_line))
            if request.after_line > last_line:
                raise errors.LineOutOfRange(request.after_line, last_line)
            yield snapshot.opened(last_line)
            heartbeat = heartbeat_of(request)
            after_line = max(request.after_line, snapshot.task.removed_lines)
            log = _TaskLog(self._store, self._reads, self._journal, self._logs, subscription, after_line)
            with contextlib.closing(log):
                try:
                    while True:
                        task = snapshot.task
                        reading = True
                        while reading:
                            for piece in log.pieces(self._pieces):
                                yield piece
                                if subscription.draining:
                                    raise errors.ServerDraining
                            reading = await log.opens_next(task)
                        if log.line < task.last_line:
                            raise errors.LogLost(task.id, log.line + 1)
                        if task.state.rests and not subscription.task_changed:
                            yield snapshot.rested
                            return
                        if snapshot is not told and task != told.task:
                            yield snapshot.changed
                        told = snapshot
                        woken = subscription.task_changed or await subscription.wait(heartbeat)
                        if subscription.draining:
                            raise errors.ServerDraining
                        if not woken:
                            last_line = self._journal.last_line(task.id, task.last_line)
                            yield _Response(heartbeat=_Response.Heartbeat(last_line=last_line))
                        if subscription.task_changed:
                            snapshot = await self._reload(subscription)
                except errors.LogLost:
                    # Of lines that were removed meanwhile, the next watch tells where it begins.
                    if log.line < (await self._reload(subscription)).task.removed_lines:
                        return
                    raise

    async def _reload(self, subscription: Subscription) -> _Snapshot:
        subscription.task_changed = False
        return await self._reads.shared(subscription.shared, self._read, subscription.task_id)

    def _read(self, task_id: TaskId) -> _Snapshot:
        return _Snapshot(self._store.tasks.get(task_id))


class _Snapshot:
    """A task as it was stored at one moment, and the events that tell of it, encoded once for all watchers."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._message = conversions.from_task(task)
        self._opened: tuple[int, bytes] | None = None

    def opened(self, last_line: int) -> bytes:
        """Returns the first event of a watch."""
        if self._opened is None or self._opened[0] != last_line:
            first_line = self.task.removed_lines + 1
            opened = _Response.Opened(task=self._message, first_line=first_line, last_line=last_line)
            self._opened = last_line, _Response(opened=opened).SerializeToString()
        return self._opened[1]

    @functools.cached_property
    def changed(self) -> bytes:
        """Returns the event of a change."""
        return _Response(task=self._message).SerializeToString()

    @functools.cached_property
    def rested(self) -> bytes:
        """Returns the last event of a watch."""
        return _Response(rested=_Response.Rested(task=self._message)).SerializeToString()


class _TaskLog:
    """A position in the lines of a task, across its runs."""

    def __init__(
        self,
        store: Store,
        reads: Reads,
        journal: Journal,
        logs: LogReads,
        subscription: Subscription,
        after_line: int,
    ) -> None:
        self._store = store
        self._reads = reads
        self._journal = journal
        self._logs = logs
        self._subscription = subscription
        #: The number of the last line that was sent whole.
        self.line = after_line
        self._reader: LogReader | None = None

    def close(self) -> None:
        """Closes the file that is being read."""
        if self._reader is not None:
            self._reader.close()

    def pieces(self, pieces: Pieces) -> Iterator[bytes]:
        """Yields what there is by now of the run that is open."""
        if self._reader is None:
            return
        # What is written meanwhile has its own turn, after changes of the task.
        extent = self._journal.extent(self._reader.run)
        # Only once while all is well: pieces that others have read are right, whatever has become of the log since.
        if extent.lost or not self._reader.opened:
            self._reader.check(extent)
        while self._reader.position < extent.size and (encoded := pieces.next(self._reader, extent)):
            self.line = self._reader.line
            yield encoded

    async def opens_next(self, task: Task) -> bool:
        """Opens the run that has the next line; False when all lines that `task` counts are read."""
        number = 0 if self._reader is None else self._reader.run.number
        if self.line >= task.last_line and task.run_count <= number:
            return False
        return await self._open_next()

    async def _open_next(self) -> bool:
        """Opens the run that holds the next line; False when there is none, or it is the one that is open."""
        run = await self._holding(self.line + 1)
        if run is None or (self._reader is not None and run == self._reader.run):
            return False
        extent = self._journal.extent(run)
        if run.first_line + extent.lines <= self.line:
            # It has ended since it was read, and the journal has forgotten it: by now the store has its extent.
            run = await self._holding(self.line + 1) or run
            extent = self._journal.extent(run)
        self.close()
        self._reader = LogReader(run)
        if self.line >= run.first_line:
            await self._logs.seek(self._reader, self.line, extent)
        return True

    async def _holding(self, line: int) -> Run | None:
        subscription = self._subscription
        return await self._reads.shared(subscription.shared, self._store.runs.holding, subscription.task_id, line)


def heartbeat_of(request: messages.WatchTaskRequest | WatchEventsRequest) -> float:
    """Returns after how many seconds of silence a watcher wants a heartbeat."""
    if request.HasField("heartbeat_interval"):
        return request.heartbeat_interval.ToTimedelta().total_seconds()
    return HEARTBEAT
