"""The lines of a task's log, put together from what streams carry."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from taskgrove import errors
from taskgrove.v1.task_service_pb2 import WatchTaskResponse


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a task's log: `number` counts within the task, `data` holds the bytes with their newline."""

    number: int
    run_number: int
    data: bytes

    @property
    def text(self) -> str:
        """The line without its newline; bytes that are no UTF-8 are replaced."""
        return self.data.removesuffix(b"\n").decode(errors="replace")

    def json(self) -> Any:
        """Parses the line. Raises ValueError if it is no JSON: nothing is promised about what an agent prints."""
        return json.loads(self.data)


class Receiver:
    """Takes pieces in order, and checks that no line is missing, repeated or torn.

    `broken` makes the error of a server that does otherwise.
    """

    def __init__(self, after_line: int, broken: Callable[[str], errors.ProtocolError]) -> None:
        #: The last line that was taken whole.
        self.last_line = after_line
        self._broken = broken
        self._fragments = bytearray()

    @property
    def torn(self) -> bool:
        """Tells whether a line was begun and not ended."""
        return bool(self._fragments)

    def forget(self) -> None:
        """Drops a line that was begun: the next stream sends it again from its start."""
        self._fragments.clear()

    def skip(self, first_line: int) -> None:
        """Goes on from a line before which none is kept; with 1, or one that was taken before, from where it is."""
        self.last_line = max(self.last_line, first_line - 1)

    def whole(self, lines: WatchTaskResponse.Lines) -> Iterator[Line]:
        """Yields lines. `last_line` moves with each one taken, so stopping in the middle is safe."""
        if self._fragments:
            raise self._broken(f"sent whole lines in the middle of line {self.last_line + 1}")
        self._expect(lines.first_line)
        if not lines.data.endswith(b"\n") or lines.data.count(b"\n") != lines.count:
            raise self._broken(f"sent bytes that are not {lines.count} lines from {lines.first_line} on")
        for data in io.BytesIO(lines.data):
            yield self._line(lines.run_number, data)

    def fragment(self, fragment: WatchTaskResponse.Fragment) -> Iterator[Line]:
        """Yields the line if this piece ends it."""
        self._expect(fragment.line)
        received = len(self._fragments)
        if fragment.offset != received:
            raise self._broken(f"went on with line {fragment.line} at byte {fragment.offset}, not {received}")
        self._fragments += fragment.data
        received = len(self._fragments)
        if received < fragment.line_size:
            return
        if received > fragment.line_size or self._fragments.find(b"\n") != received - 1:
            raise self._broken(f"sent bytes that are not one line of {fragment.line_size} bytes")
        data = bytes(self._fragments)
        self._fragments = bytearray()
        yield self._line(fragment.run_number, data)

    def _expect(self, number: int) -> None:
        if number != self.last_line + 1:
            raise self._broken(f"sent line {number} after line {self.last_line}")

    def _line(self, run_number: int, data: bytes) -> Line:
        self.last_line += 1
        return Line(self.last_line, run_number, data)
