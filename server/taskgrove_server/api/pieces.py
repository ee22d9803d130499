"""Pieces of logs on the wire, read and encoded once for all watchers at the same place.

Those who watch a task live are at the same place nearly always: with a thousand of them this saves a third of the
server's time. Whoever is somewhere else reads the log for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from taskgrove.v1.task_service_pb2 import ReadLinesResponse, WatchTaskResponse
from taskgrove_server.domain.ids import RunId
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.reading import LineFragment, LogReader, WholeLines

R = TypeVar("R", ReadLinesResponse, WatchTaskResponse)

#: Bytes of encoded pieces that are kept for others.
KEPT = 16 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    piece: WholeLines | LineFragment
    encoded: bytes
    #: There were more lines than it could take, so that it would be the same if it was read now.
    full: bool


class Pieces:
    """Reads for many readers. Lives on the event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[RunId, int], _Kept] = OrderedDict()
        self._size = 0

    def next(self, reader: LogReader, extent: Extent) -> bytes | None:
        """Returns the next piece as an encoded WatchTaskResponse, None at the end of `extent`; raises LogLost."""
        place = reader.run.id, reader.position
        kept = self._kept.get(place)
        if kept is not None:
            end = reader.position + len(kept.piece.data)
            # Who is behind gets all there is by now in one message, or would fall behind further.
            if end == extent.size or (kept.full and end < extent.size):
                reader.take(kept.piece)
                return kept.encoded
        reader.check(extent)
        piece = reader.next(extent)
        if piece is None:
            return None
        encoded = fill(WatchTaskResponse(), reader.run.number, piece).SerializeToString()
        new = _Kept(piece, encoded, full=reader.position < extent.size)
        if kept is not None:
            self._size -= len(kept.encoded)
        self._kept[place] = new
        self._size += len(new.encoded)
        while self._size > KEPT:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.encoded)
        return new.encoded


def fill(response: R, run_number: int, piece: WholeLines | LineFragment) -> R:
    """Puts a piece into a response that has `lines` and `fragment`, and returns it."""
    if isinstance(piece, WholeLines):
        response.lines.run_number = run_number
        response.lines.first_line = piece.first_line
        response.lines.count = piece.count
        response.lines.data = piece.data
    else:
        response.fragment.run_number = run_number
        response.fragment.line = piece.line
        response.fragment.offset = piece.offset
        response.fragment.line_size = piece.line_size
        response.fragment.data = piece.data
    return response
