"""Finds a line in a log: from the last known place before it, by counting."""

from __future__ import annotations

import os
import time

from taskgrove_server.domain import errors
from taskgrove_server.domain.run import Run
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.line_index import LineIndex, Place

#: Bytes that are counted at a time. Python counts them with its lock held, for 20 to 40 us, and gives it to others
#: with each read.
BLOCK = 64 << 10

#: Bytes of a step of a scan. It takes a few milliseconds, after which others have their turn.
STEP = 8 << 20

#: Bytes that a scan counts at a time, and seconds that it rests then. Without rests its thread gets Python's lock back
#: before any other has woken up, which then waits for 5 ms, each time.
SCANNED = 256 << 10
REST = 1e-4

#: Bytes in which line ends are looked for one by one.
_FEW = 1024


def offset_behind(run: Run, line: int, extent: Extent, index: LineIndex | None) -> int:
    """Returns at which offset a line of a run's log ends; raises LogLost when the file no longer has it."""
    wanted = line - run.first_line + 1
    lost = errors.LogLost(run.task_id, line + 1)
    if extent.lost:
        raise lost
    try:
        file = os.open(run.log_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            place = _start(file, index.before(wanted) if index else Place())
            while place.lines < wanted:
                block = os.pread(file, min(BLOCK, extent.size - place.offset), place.offset)
                if not block:
                    raise lost
                count = block.count(b"\n")
                if place.lines + count >= wanted:
                    return place.offset + behind(block, wanted - place.lines)
                place = Place(place.lines + count, place.offset + len(block))
            return place.offset
        finally:
            os.close(file)
    except OSError as error:
        raise lost from error


def behind(data: bytes, count: int) -> int:
    """Returns the position behind so many lines of `data`, which has them."""
    start, end = 0, len(data)
    while end - start > _FEW:
        middle = (start + end) // 2
        lines = data.count(b"\n", start, middle)
        if lines >= count:
            end = middle
        else:
            start = middle
            count -= lines
    for _ in range(count):
        start = data.index(b"\n", start) + 1
    return start


def _start(file: int, place: Place) -> Place:
    """Returns a place if a line begins there; the start of the log otherwise, for the index must be another log's."""
    if place.offset and os.pread(file, 1, place.offset - 1) != b"\n":
        return Place()
    return place


class Scan:
    """Makes the index of a log that grows no more, a step at a time. What there is of it may be used at any moment."""

    def __init__(self, log_path: str, size: int) -> None:
        self.index = LineIndex()
        #: Whole lines that were counted.
        self.lines = 0
        #: The log is shorter than `size`, or cannot be read.
        self.failed = False
        self._log_path = log_path
        self.size = size
        self._offset = 0

    @property
    def ended(self) -> bool:
        """Tells whether there is nothing more to do."""
        return self.failed or self._offset >= self.size

    def step(self) -> None:
        """Counts on, STEP bytes at most."""
        try:
            file = os.open(self._log_path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._count(file, min(self.size, self._offset + STEP))
            finally:
                os.close(file)
        except OSError:
            self.failed = True

    def _count(self, file: int, end: int) -> None:
        while self._offset < end and not self.failed:
            block = os.pread(file, min(SCANNED, end - self._offset), self._offset)
            self.failed = not block
            if whole := block.rfind(b"\n") + 1:
                self.lines += block.count(b"\n")
                self.index.add(Place(self.lines, self._offset + whole))
            self._offset += len(block)
            time.sleep(REST)
