"""Reads one run's log from any line on, a piece at a time, without holding more than a piece."""

from __future__ import annotations

import os
from dataclasses import dataclass

from taskgrove_server.domain import errors
from taskgrove_server.domain.run import Run
from taskgrove_server.journal.growing import Extent

#: Bytes of whole lines in a piece. Twice as many are a third faster to a hundred watchers, and take twice the memory
#: of each that is slow.
CHUNK = 128 << 10

#: Bytes of the longest line that is sent whole. gRPC clients refuse messages over 4 MiB by default.
LONGEST_WHOLE = 1 << 20

#: Bytes of a fragment of a longer line.
FRAGMENT = 256 << 10

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class WholeLines:
    """Lines with their newlines; numbered within the task."""

    first_line: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LineFragment:
    """A piece of one long line. `line_size` includes the newline."""

    line: int
    offset: int
    line_size: int
    data: bytes

    @property
    def last(self) -> bool:
        """Tells whether the line ends here."""
        return self.offset + len(self.data) == self.line_size


class LogReader:
    """A position in a run's log. Not thread-safe."""

    def __init__(self, run: Run) -> None:
        self.run = run
        #: The number of the last line that was returned whole.
        self.line = run.first_line - 1
        self._offset = 0
        self._within = 0
        self._long_line_size = 0
        # Opened when first needed: a run is recorded before its log is made.
        self._fd: int | None = None

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)

    def move(self, line: int, offset: int) -> None:
        """Goes on behind a line of this run that ends at an offset; see seeking.offset_behind."""
        self.line, self._offset = line, offset

    @property
    def position(self) -> int:
        """Returns how many bytes of the log have been returned."""
        return self._offset + self._within

    @property
    def opened(self) -> bool:
        """Tells whether the file is open."""
        return self._fd is not None

    def take(self, piece: WholeLines | LineFragment) -> None:
        """Moves behind a piece that another reader of the same log has read at this position."""
        if isinstance(piece, WholeLines):
            self.line += piece.count
            self._offset += len(piece.data)
        elif piece.last:
            self.line += 1
            self._offset += piece.line_size
            self._within = self._long_line_size = 0
        else:
            self._long_line_size = piece.line_size
            self._within += len(piece.data)

    def check(self, extent: Extent) -> None:
        """Raises LogLost when the log was cut or deleted, and something of it is missing."""
        rest = extent.size - self.position
        # While a run goes on, the lines that follow a cut never come.
        lost = extent.lost and (rest > 0 or self.run.finish_time is None)
        if lost or (rest > 0 and self._file_size() < extent.size):
            raise errors.LogLost(self.run.task_id, self.line + 1)

    def next(self, extent: Extent) -> WholeLines | LineFragment | None:
        """Returns the next piece, None at the end of `extent`; raises LogLost when the file is too short for it."""
        piece = self._read(extent)
        if piece is not None:
            self.take(piece)
        return piece

    def _read(self, extent: Extent) -> WholeLines | LineFragment | None:
        if self._long_line_size:
            return self._read_fragment(self._long_line_size)
        rest = extent.size - self._offset
        if rest <= 0:
            return None
        block = self._pread(self._offset, min(CHUNK, rest))
        end = block.rfind(b"\n") + 1
        if end:
            return WholeLines(self.line + 1, block.count(b"\n"), block[:end])
        size = self._line_size(extent)
        if size <= LONGEST_WHOLE:
            return WholeLines(self.line + 1, 1, self._pread(self._offset, size))
        return self._read_fragment(size)

    def _read_fragment(self, line_size: int) -> LineFragment:
        data = self._pread(self.position, min(FRAGMENT, line_size - self._within))
        return LineFragment(self.line + 1, self._within, line_size, data)

    def _line_size(self, extent: Extent) -> int:
        offset = self._offset
        while offset < extent.size:
            block = self._pread(offset, min(_BLOCK, extent.size - offset))
            end = block.find(b"\n") + 1
            offset += end or len(block)
            if end:
                break
        return offset - self._offset

    def _pread(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._descriptor(), size, offset)
        except OSError as error:
            raise errors.LogLost(self.run.task_id, self.line + 1) from error
        if len(data) < size:
            raise errors.LogLost(self.run.task_id, self.line + 1)
        return data

    def _file_size(self) -> int:
        try:
            return os.fstat(self._descriptor()).st_size
        except OSError as error:
            raise errors.LogLost(self.run.task_id, self.line + 1) from error

    def _descriptor(self) -> int:
        if self._fd is None:
            self._fd = os.open(self.run.log_path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd
