"""Pieces of a log on the wire, shared by those at the same place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.run_logs import run_over
from taskgrove.v1.task_service_pb2 import WatchTaskResponse
from taskgrove_server.api.pieces import Pieces
from taskgrove_server.domain.run import Run
from taskgrove_server.journal import reading
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.reading import LogReader

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has written ten thousand lines."""
    log = tmp_path / "log"
    log.write_bytes(LINE * 10_000)
    return run_over(log)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets at which the log is read."""
    offsets: list[int] = []
    pread = os.pread

    def look(fd: int, size: int, offset: int) -> bytes:
        offsets.append(offset)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", look)
    return offsets


def extent(lines: int) -> Extent:
    return Extent(lines, lines * len(LINE))


def first_piece(pieces: Pieces, run: Run, lines: int) -> WatchTaskResponse.Lines:
    reader = LogReader(run)
    try:
        encoded = pieces.next(reader, extent(lines))
        assert encoded is not None
        return WatchTaskResponse.FromString(encoded).lines
    finally:
        reader.close()


def test_those_at_the_same_place_share_a_read(run: Run, reads: list[int]) -> None:
    pieces = Pieces()
    assert {first_piece(pieces, run, 3).count for _ in range(5)} == {3}
    assert reads == [0]


def test_a_full_piece_is_shared_however_far_the_log_has_grown(run: Run, reads: list[int]) -> None:
    pieces = Pieces()
    full = reading.CHUNK // len(LINE)
    assert {first_piece(pieces, run, lines).count for lines in (5_000, 6_000, 10_000)} == {full}
    assert reads == [0]


def test_who_is_behind_gets_all_there_is_and_not_what_there_was(run: Run) -> None:
    pieces = Pieces()
    assert [first_piece(pieces, run, lines).count for lines in (1, 2, 500, 500)] == [1, 2, 500, 500]


def test_what_is_kept_has_a_bound(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskgrove_server.api.pieces.KEPT", 300_000)
    pieces, reader = Pieces(), LogReader(run)
    while pieces.next(reader, extent(10_000)):
        assert sum(len(kept.encoded) for kept in pieces._kept.values()) == pieces._size <= 300_000
    reader.close()
    assert reader.line == 10_000
