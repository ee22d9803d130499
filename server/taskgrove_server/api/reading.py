"""A part of a task's log as it is now."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from taskgrove.v1 import task_service_pb2 as messages
from taskgrove_server.api.front import Reads
from taskgrove_server.api.limits import StreamLimit
from taskgrove_server.api.log_reads import LogReads
from taskgrove_server.api.pieces import fill
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Run
from taskgrove_server.domain.task import Task
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.reading import LineFragment, LogReader, WholeLines
from taskgrove_server.journal.seeking import behind
from taskgrove_server.store.store import Store

_Response = messages.ReadLinesResponse


class Reading:
    """Reads logs for those who do not watch."""

    def __init__(self, store: Store, reads: Reads, journal: Journal, logs: LogReads, limit: StreamLimit) -> None:
        self._store = store
        self._reads = reads
        self._journal = journal
        self._logs = logs
        self._limit = limit

    async def read(self, request: messages.ReadLinesRequest) -> AsyncIterator[messages.ReadLinesResponse]:
        """Yields lines, and `end` last.

        Raises TaskNotFound, LineOutOfRange, LogRemoved, LogLost and TooManyWatchers.
        """
        with self._limit.place():
            task_id = TaskId(request.task_id)
            # Looked up first: the journal forgets a run that ends, and the task may have been read before that.
            growing = self._journal.last_line(task_id, 0)
            task = await self._reads(self._store.tasks.get, task_id)
            last_line = max(growing, self._journal.last_line(task_id, task.last_line))
            line = _start(request, task, last_line)
            end = min(last_line, line + request.max_lines) if request.max_lines else last_line
            try:
                while line < end:
                    run, extent = await self._holding(task_id, line + 1)
                    with contextlib.closing(LogReader(run)) as reader:
                        if line >= run.first_line:
                            await self._logs.seek(reader, line, extent)
                        reader.check(extent)
                        while line < end and (piece := await self._logs(reader.next, extent)):
                            yield fill(_Response(), run.number, _cut(piece, end))
                            line = reader.line
            except errors.LogLost:
                removed = (await self._reads(self._store.tasks.get, task_id)).removed_lines
                if line < removed:
                    # Since the task was read.
                    raise errors.LogRemoved(task_id, removed + 1) from None
                raise
            yield _Response(end=_Response.End(last_line=last_line))

    async def _holding(self, task_id: TaskId, line: int) -> tuple[Run, Extent]:
        """Returns the run that holds a line, and how much there is of its log; raises LogLost."""
        # A second time for a run that ends just now: the journal forgets it once the store has its extent.
        for _ in range(2):
            run = await self._reads(self._store.runs.holding, task_id, line)
            extent = self._journal.extent(run) if run else Extent(0, 0)
            if run and line < run.first_line + extent.lines:
                return run, extent
        raise errors.LogLost(task_id, line)


def _start(request: messages.ReadLinesRequest, task: Task, last_line: int) -> int:
    """Returns the line behind which to begin; raises LineOutOfRange and LogRemoved."""
    line = request.after_line
    if request.WhichOneof("start") == "last_lines":
        line = max(0, last_line - request.last_lines)
        if task.removed_lines < last_line:
            line = max(line, task.removed_lines)
    if line > last_line:
        raise errors.LineOutOfRange(line, last_line)
    if line < task.removed_lines:
        raise errors.LogRemoved(task.id, task.removed_lines + 1)
    return line


def _cut(piece: WholeLines | LineFragment, last_line: int) -> WholeLines | LineFragment:
    """Returns the piece without the lines behind `last_line`."""
    if isinstance(piece, LineFragment) or piece.first_line + piece.count - 1 <= last_line:
        return piece
    count = last_line - piece.first_line + 1
    return replace(piece, count=count, data=piece.data[: behind(piece.data, count)])
