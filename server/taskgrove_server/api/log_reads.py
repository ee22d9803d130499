"""Reads logs off the event loop, in threads of their own: however much they read, nobody waits who asks the store."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from taskgrove_server.domain.ids import RunId
from taskgrove_server.domain.run import Run
from taskgrove_server.guarding import Troubles
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.line_index import LEAST, LineIndex
from taskgrove_server.journal.reading import LogReader
from taskgrove_server.journal.seeking import Scan, offset_behind
from taskgrove_server.workers import Workers

T = TypeVar("T")

#: Threads that read logs. They share an interpreter with the event loop, and mostly find the log in memory.
THREADS = 2

#: Indexes that are kept in memory; one of a log of 1 GiB takes 64 KiB at most.
KEPT = 64


class LogReads:
    """Runs reads of logs in threads, in the order in which they were asked for. Lives on the event loop."""

    def __init__(self, journal: Journal, troubles: Troubles | None = None) -> None:
        self._journal = journal
        self._pool = Workers(THREADS, "log-reader", troubles)
        self._kept: OrderedDict[RunId, LineIndex] = OrderedDict()
        self._searches: dict[RunId, _Search] = {}

    async def __call__(self, read: Callable[..., T], *arguments: Any) -> T:
        """Returns what `read` returns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, read, *arguments)

    async def seek(self, reader: LogReader, after_line: int, extent: Extent) -> None:
        """Moves a reader behind a line of its run; raises LogLost when the file no longer has it."""
        run = reader.run
        if after_line == run.first_line - 1 + extent.lines:
            # Whoever has all there is needs nothing of the file.
            offset = extent.size
        else:
            index = await self._index(run, after_line, extent)
            offset = await self(offset_behind, run, after_line, extent, index)
        reader.move(after_line, offset)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()

    async def _index(self, run: Run, line: int, extent: Extent) -> LineIndex | None:
        """Returns an index that reaches a line, or as far as the log can be read; None for a small log."""
        index = self._journal.index(run) or self._kept.get(run.id)
        if index is not None or extent.size < LEAST or extent.lost:
            return index
        search = self._searches.get(run.id)
        if search is None:
            search = self._searches[run.id] = _Search(Scan(run.log_path, extent.size))
            search.task = asyncio.create_task(self._find(run, search))
        try:
            return await search.reaches(line - run.first_line + 1)
        except asyncio.CancelledError:
            if not search.waiting and search.task is not None:
                # Nobody else may join what ends.
                self._searches.pop(run.id, None)
                search.task.cancel()
            raise

    async def _find(self, run: Run, search: _Search) -> None:
        """Gets a log's index from its file, else makes it; goes on to its end even if all have what they waited for."""
        scan = search.scan
        try:
            search.index = await self(LineIndex.load, run.log_path, scan.size)
            while not (search.index or scan.ended):
                await self(scan.step)
                search.tell()
            if search.index is None and not scan.failed:
                search.index = scan.index
                await self(scan.index.save, run.log_path, scan.size)
            if search.index is not None:
                self._keep(run.id, search.index)
        finally:
            if self._searches.get(run.id) is search:
                del self._searches[run.id]
            search.ended = True
            search.tell()

    def _keep(self, run_id: RunId, index: LineIndex) -> None:
        self._kept[run_id] = index
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


class _Search:
    """The search for one log's index, shared by all who wait for it."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.task: asyncio.Task[None] | None = None
        #: The whole index, once it is known.
        self.index: LineIndex | None = None
        self.ended = False
        self.waiting = 0
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Has all who wait look again."""
        self._told.set()
        self._told = asyncio.Event()

    async def reaches(self, lines: int) -> LineIndex:
        """Returns the index once it reaches so many lines, or the search has ended."""
        self.waiting += 1
        try:
            while self.index is None and not self.ended and self.scan.lines < lines:
                await self._told.wait()
        finally:
            self.waiting -= 1
        return self.index or self.scan.index
