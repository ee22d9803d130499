"""Where some of a log's lines begin, so that any line is found by reading little of the log.

    <log>.index:  magic, bytes of the log that it covers, checksum; the lines before each place; the places' offsets

While a log grows its index is kept in memory; it is written once, when the log has ended. It can be made again from
the log alone: an index that is missing, cut, damaged or of another log is as none, and one that cannot be written
harms nobody.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: Bytes of a log from one place to the next, at least: an index has at most a sixteen-thousandth of its log's size.
SPACING = 256 << 10

#: Bytes of the smallest log that has an index in a file. A smaller one is read from its start in a millisecond.
LEAST = 1 << 20

#: Numbers are in the machine's own order of bytes: an index from a machine of the other order is as none.
_HEADER = struct.Struct("=QQQ")
_MAGIC = 0x7467_6C69_6E65_0001


@dataclass(frozen=True, slots=True)
class Place:
    """The beginning of a line: how many lines and how many bytes of the log lie before it."""

    lines: int = 0
    offset: int = 0


class LineIndex:
    """The places of a log, in order. One thread at a time adds to it; any may read."""

    def __init__(self) -> None:
        self._lines = array("Q")
        self._offsets = array("Q")

    def add(self, place: Place) -> None:
        """Takes in a place, unless it is near the last one."""
        if place.offset - (self._offsets[-1] if self._offsets else 0) >= SPACING:
            # A place is found by its lines, so that these come last.
            self._offsets.append(place.offset)
            self._lines.append(place.lines)

    def before(self, lines: int) -> Place:
        """Returns the last place that has no more than so many lines before it."""
        number = bisect_right(self._lines, lines) - 1
        return Place() if number < 0 else Place(self._lines[number], self._offsets[number])

    @classmethod
    def load(cls, log_path: str, size: int) -> Self | None:
        """Returns the index of a log that has at least `size` bytes; None when there is none that fits."""
        try:
            log_size = Path(log_path).stat().st_size
            with path_of(log_path).open("rb") as file:
                # An index of this log has no more.
                data = file.read(_HEADER.size + 16 * (log_size // SPACING + 1))
        except OSError:
            return None
        header, body = data[: _HEADER.size], data[_HEADER.size :]
        if len(header) < _HEADER.size or len(body) % 16:
            return None
        magic, covered, checksum = _HEADER.unpack(header)
        if magic != _MAGIC or not size <= covered <= log_size or checksum != zlib.crc32(body):
            return None
        index = cls()
        index._lines.frombytes(body[: len(body) // 2])
        index._offsets.frombytes(body[len(body) // 2 :])
        return index

    def save(self, log_path: str, size: int) -> None:
        """Writes the index of a log that has `size` bytes, if it is large. Raises nothing."""
        if size < LEAST:
            return
        body = self._lines.tobytes() + self._offsets.tobytes()
        path = path_of(log_path)
        new = path.with_name(f"{path.name}.new")
        with contextlib.suppress(OSError):
            try:
                new.touch(0o600)
                new.write_bytes(_HEADER.pack(_MAGIC, size, zlib.crc32(body)) + body)
                new.replace(path)
            except OSError:
                new.unlink(missing_ok=True)
            # Whoever has deleted the log meanwhile may have looked for its index too early.
            if not Path(log_path).exists():
                path.unlink(missing_ok=True)


def path_of(log_path: str) -> Path:
    """Returns where the index of a log is kept."""
    return Path(f"{log_path}.index")
