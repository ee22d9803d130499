"""Where lines of large logs are found, by how many bytes are read for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.run_logs import CountedReads, run_over
from taskgrove_server.domain import errors
from taskgrove_server.domain.run import Run
from taskgrove_server.journal import growing, line_index, seeking
from taskgrove_server.journal.growing import Extent, GrowingLog
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.line_index import LEAST, SPACING, LineIndex, Place
from taskgrove_server.journal.seeking import Scan
from taskgrove_server.journal.wakeups import Wakeups

#: Bytes of the log of most tests.
SIZE = 48 << 20

#: Bytes that are read at most to find a line: from a place to the next, which a block of the journal may be more.
MOST = SPACING + growing.BLOCK + seeking.BLOCK


@pytest.fixture
def log(tmp_path: Path) -> Run:
    """A run with a large log, of lines that differ in length."""
    run = run_over(tmp_path / "log", first_line=1001)
    block = b"".join(b"%d %s\n" % (n, b"x" * (n % 500)) for n in range(1000))
    with Path(run.log_path).open("wb") as file:
        file.writelines(block for _ in range(SIZE // len(block) + 1))
    return run


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> CountedReads:
    """Counts the bytes that are read by position."""
    counted = CountedReads(os.pread)
    monkeypatch.setattr(os, "pread", counted)
    return counted


def lines_of(sizes: list[int]) -> bytes:
    return b"".join(b"x" * size + b"\n" for size in sizes)


def extent_of(run: Run) -> Extent:
    data = Path(run.log_path).read_bytes()
    return Extent(data.count(b"\n"), len(data))


def ends_of(run: Run) -> list[int]:
    """Returns where each line ends; the start of the log first."""
    ends = [0]
    with Path(run.log_path).open("rb") as file:
        for line in file:
            ends.append(ends[-1] + len(line))
    return ends


def check(run: Run, extent: Extent, index: LineIndex | None, reads: CountedReads, most: int = MOST) -> None:
    """Finds lines all over a log, and counts what is read for each."""
    ends = ends_of(run)
    for wanted in {
        1,
        2,
        extent.lines // 2,
        extent.lines - 1,
        extent.lines,
        *range(7, extent.lines, extent.lines // 50),
    }:
        reads.size = 0
        assert seeking.offset_behind(run, run.first_line - 1 + wanted, extent, index) == ends[wanted]
        assert reads.size <= most


def test_a_line_of_a_log_that_grows_is_found_by_reading_little(log: Run, reads: CountedReads) -> None:
    journal = Journal(Wakeups())
    try:
        journal.follow(log, lambda _: None)
        check(log, journal.extent(log), journal.index(log), reads)
        with Path(log.log_path).open("ab") as file:
            file.write(Path(log.log_path).read_bytes())
        extent = journal.end(log)
        check(log, extent, journal.index(log), reads)
        journal.release(log)
        assert journal.index(log) is None
    finally:
        journal.close()


def test_a_line_of_a_log_that_has_ended_is_found_by_reading_little(log: Run, reads: CountedReads) -> None:
    journal = Journal(Wakeups())
    try:
        journal.follow(log, lambda _: None)
        extent = journal.end(log)
    finally:
        journal.close()
    index = LineIndex.load(log.log_path, extent.size)
    assert index is not None
    check(log, extent, index, reads)
    assert line_index.path_of(log.log_path).stat().st_size < extent.size / 10_000
    assert line_index.path_of(log.log_path).stat().st_mode & 0o777 == 0o600


def test_a_lost_index_is_made_again_from_the_log(log: Run, reads: CountedReads) -> None:
    extent = extent_of(log)
    scan = Scan(log.log_path, extent.size)
    steps = 0
    while not scan.ended:
        reads.size = 0
        scan.step()
        steps += 1
        assert reads.size <= seeking.STEP
        # What there is may be used meanwhile.
        assert seeking.offset_behind(log, log.first_line, extent, scan.index) == ends_of(log)[1]
    assert steps == -(-extent.size // seeking.STEP)
    assert not scan.failed
    assert scan.lines == extent.lines
    scan.index.save(log.log_path, extent.size)
    check(log, extent, LineIndex.load(log.log_path, extent.size), reads, SPACING + seeking.SCANNED + seeking.BLOCK)


@pytest.mark.parametrize("size", [0, LEAST - 2])
def test_a_small_log_has_no_index(tmp_path: Path, size: int) -> None:
    run = run_over(tmp_path / "log")
    Path(run.log_path).write_bytes(b"x" * size + b"\n")
    journal = Journal(Wakeups())
    try:
        journal.follow(run, lambda _: None)
        journal.end(run)
    finally:
        journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def spoil_first(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def spoil_last(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:7])


def cut_place(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-16])


def cut_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(16))


def replace_by_text(path: Path) -> None:
    path.write_text("line 1 is at 0\n" * 1000)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


SPOILING = [
    Path.unlink,
    spoil_first,
    spoil_last,
    empty,
    cut_header,
    cut_place,
    cut_byte,
    lengthen,
    replace_by_text,
    make_directory,
    make_loop,
]


@pytest.mark.parametrize("spoil", SPOILING)
def test_an_index_that_does_not_fit_is_none(log: Run, spoil: Callable[[Path], None]) -> None:
    extent = extent_of(log)
    scan = Scan(log.log_path, extent.size)
    while not scan.ended:
        scan.step()
    scan.index.save(log.log_path, extent.size)
    assert LineIndex.load(log.log_path, extent.size) is not None
    spoil(line_index.path_of(log.log_path))
    assert LineIndex.load(log.log_path, extent.size) is None
    # Written again where that can be done, and no error where it cannot.
    scan.index.save(log.log_path, extent.size)
    assert not line_index.path_of(log.log_path).with_name("log.index.new").exists()


def test_the_index_of_a_longer_or_a_shorter_log_is_none(log: Run) -> None:
    extent = extent_of(log)
    LineIndex().save(log.log_path, extent.size)
    assert LineIndex.load(log.log_path, extent.size) is not None
    assert LineIndex.load(log.log_path, extent.size + 1) is None
    os.truncate(log.log_path, extent.size - 1)
    assert LineIndex.load(log.log_path, extent.size - 1) is None


def test_an_index_is_not_left_without_its_log(log: Run) -> None:
    Path(log.log_path).unlink()
    LineIndex().save(log.log_path, SIZE)
    assert list(Path(log.log_path).parent.iterdir()) == []


def test_places_where_no_line_begins_are_not_believed(log: Run) -> None:
    extent, ends, index = extent_of(log), ends_of(log), LineIndex()
    index.add(Place(5000, ends[5000] - 1))
    assert seeking.offset_behind(log, log.first_line - 1 + 6000, extent, index) == ends[6000]


def test_a_log_that_became_shorter_is_told_of(log: Run) -> None:
    extent = extent_of(log)
    os.truncate(log.log_path, SIZE // 2)
    scan = Scan(log.log_path, extent.size)
    while not scan.ended:
        scan.step()
    assert scan.failed
    for index in (None, scan.index):
        with pytest.raises(errors.LogLost) as lost:
            seeking.offset_behind(log, log.first_line + extent.lines - 2, extent, index)
        # The first line that cannot be read, of those that are asked for.
        assert lost.value.metadata["line"] == str(log.first_line + extent.lines - 1)
        assert seeking.offset_behind(log, log.first_line + 1, extent, index) == ends_of(log)[2]


def test_a_log_that_is_gone_is_told_of(log: Run) -> None:
    extent = extent_of(log)
    Path(log.log_path).unlink()
    with pytest.raises(errors.LogLost):
        seeking.offset_behind(log, log.first_line, extent, None)
    scan = Scan(log.log_path, extent.size)
    scan.step()
    assert scan.failed


@settings(max_examples=100, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=50), st.lists(st.integers(0, 3000), max_size=40).map(lines_of)),
    choice=st.data(),
)
def test_the_position_behind_any_number_of_lines_is_right(data: bytes, choice: st.DataObject) -> None:
    count = choice.draw(st.integers(0, data.count(b"\n")))
    expected = len(b"".join(line + b"\n" for line in data.split(b"\n")[:count]))
    assert seeking.behind(data, count) == expected


@settings(max_examples=30, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from([0, 10, 5000, seeking.BLOCK - 1, seeking.BLOCK, SPACING - 1, SPACING, 2 * SPACING]), max_size=20
    ),
    choice=st.data(),
)
def test_every_line_is_found_by_either_index(
    tmp_path_factory: pytest.TempPathFactory, lines: list[int], choice: st.DataObject
) -> None:
    run = run_over(tmp_path_factory.mktemp("log") / "log", first_line=7)
    path = Path(run.log_path)
    path.write_bytes(lines_of(lines))
    extent, ends = extent_of(run), ends_of(run)
    grown = GrowingLog(run, lambda _: None, lambda: None)
    grown.end()
    scan = Scan(run.log_path, extent.size)
    while not scan.ended:
        scan.step()
    wanted = choice.draw(st.integers(0, extent.lines))
    for index in (None, grown.index, scan.index):
        assert seeking.offset_behind(run, 6 + wanted, extent, index) == ends[wanted]
    path.unlink()
