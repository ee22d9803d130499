"""One log while it grows: counts its lines, hands them to a parser, and closes its last line in the end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from taskgrove_server.domain.run import Run
from taskgrove_server.journal.line_index import LineIndex, Place

log = logging.getLogger(__name__)

#: Bytes that are read at a time of a log that has more.
BLOCK = 1 << 20

#: Bytes that are read at first. A buffer of BLOCK bytes for a line of 300 takes 30 times as long as the rest.
FIRST_BLOCK = 64 << 10

#: Bytes of the longest line that is handed to the parser. Longer ones are streamed to watchers all the same.
LONGEST_PARSED = 64 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a log there is, in complete lines and in the bytes that they take."""

    lines: int = 0
    size: int = 0
    #: The file has become shorter than that: somebody has truncated it. Nothing can be read by position any more.
    lost: bool = False


class GrowingLog:
    """The log of a run that goes on. `extent` and `index` may be read from any thread; one at a time does the rest."""

    def __init__(self, run: Run, feed: Callable[[bytes], None], grown: Callable[[], None]) -> None:
        self.run = run
        self.extent = Extent()
        #: Where lines of the log are. Its file is written in the end: whoever takes up a log reads it from its start.
        self.index = LineIndex()
        self._feed = feed
        self._grown = grown
        self._offset = 0
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._lock = threading.Lock()
        self._fd = os.open(run.log_path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._ended = False
        self._behind = False
        self._asked = FIRST_BLOCK
        #: When the log last grew, or was opened, by the monotonic clock. How long an adopted log has been silent
        #: before, its supervisor tells: by the file's time, a clock that was set makes it hours.
        self.grown_at = time.monotonic()

    def read(self) -> bool:
        """Takes in a block of what has been written since; tells whether there may be more."""
        with self._lock:
            return not self._ended and self._read_block() == self._asked

    def end(self) -> Extent:
        """Takes in the rest and returns the final extent, once nobody writes any more.

        A last line that has no newline gets one: it counts like any other.
        """
        with self._lock:
            if not self._ended:
                while self._read_block():
                    pass
                if self._partial:
                    os.write(self._fd, b"\n")
                    self._read_block()
                self._close()
        return self.extent

    def close(self) -> None:
        """Closes the file, and leaves the log as it is."""
        with self._lock:
            if not self._ended:
                self._close()

    def _close(self) -> None:
        self._ended = True
        os.close(self._fd)

    def _read_block(self) -> int:
        self._asked = BLOCK if self._behind else FIRST_BLOCK
        block = os.pread(self._fd, self._asked, self._offset)
        self._behind = len(block) == self._asked
        if not block:
            if os.fstat(self._fd).st_size < self._offset:
                self._lose()
                return self._read_block()
            return 0
        self._offset += len(block)
        self.grown_at = time.monotonic()
        end = block.rfind(b"\n") + 1
        if not end:
            self._keep(block)
            return len(block)
        first, *others = block[:end].split(b"\n")[:-1]
        self._partial.append(first)
        whole = self._partial_size + len(first) <= LONGEST_PARSED
        lines = [b"".join(self._partial), *others] if whole else others
        count = len(others) + 1
        self._partial, self._partial_size = [], 0
        if block[end:]:
            self._keep(block[end:])
        if not self.extent.lost:
            self.extent = Extent(self.extent.lines + count, self._offset - len(block) + end)
            self.index.add(Place(self.extent.lines, self.extent.size))
            # Watchers first: parsing takes longer than waking.
            self._grown()
        for line in lines:
            self._feed(line)
        return len(block)

    def _lose(self) -> None:
        """Goes on at the start of a file that was truncated, for the parser alone: the run still has its outcome.

        The lines that were counted are gone, and those to come cannot follow them: watchers are told.
        """
        log.error("The log %s was truncated at line %d", self.run.log_path, self.extent.lines)
        self._offset = 0
        self._partial, self._partial_size = [], 0
        self.extent = replace(self.extent, lost=True)
        self._grown()

    def _keep(self, piece: bytes) -> None:
        self._partial_size += len(piece)
        # A line too long for the parser is not kept, but that there is one must be known.
        self._partial.append(piece if self._partial_size <= LONGEST_PARSED else b"")
