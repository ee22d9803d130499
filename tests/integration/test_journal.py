"""The journal, over real files that real writers append to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.run_logs import Lines, run_over
from taskgrove_server.domain import errors
from taskgrove_server.domain.run import Run
from taskgrove_server.journal import notices, reading, seeking
from taskgrove_server.journal.growing import Extent, GrowingLog
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.reading import LineFragment, LogReader, WholeLines
from taskgrove_server.journal.wakeups import Wakeups


def no_inotify() -> notices.Inotify:
    raise OSError(errno.EMFILE, "inotify: all instances are used up")


@pytest.fixture(params=["notices", "naps"])
def journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """A journal with the system's notices, and one as it is where there are none."""
    if request.param == "naps":
        monkeypatch.setattr(notices, "Inotify", no_inotify)
    opened = Journal(Wakeups())
    yield opened
    opened.close()


def read_all(run: Run, extent: Extent, after_line: int = 0) -> list[tuple[int, bytes]]:
    reader = LogReader(run)
    if after_line >= run.first_line:
        reader.move(after_line, seeking.offset_behind(run, after_line, extent, None))
    lines: list[tuple[int, bytes]] = []
    long_line = b""
    while piece := reader.next(extent):
        if isinstance(piece, WholeLines):
            assert len(piece.data) <= reading.CHUNK or piece.count == 1
            assert len(piece.data) <= reading.LONGEST_WHOLE
            split = piece.data.split(b"\n")[:-1]
            assert len(split) == piece.count
            lines += [(piece.first_line + n, line) for n, line in enumerate(split)]
        else:
            assert isinstance(piece, LineFragment)
            assert piece.offset == len(long_line)
            assert len(piece.data) <= reading.FRAGMENT
            long_line += piece.data
            if piece.last:
                assert piece.line_size == len(long_line)
                lines.append((piece.line, long_line.removesuffix(b"\n")))
                long_line = b""
    assert not long_line
    reader.close()
    return lines


def test_lines_of_a_process_arrive_while_it_writes(journal: Journal, tmp_path: Path) -> None:
    run = run_over(tmp_path / "log")
    lines = Lines()
    journal.follow(run, lines)
    with Path(run.log_path).open("ab") as log:
        program = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=log)
    assert process.stdin is not None
    for n in range(5):
        process.stdin.write(b"line %d\n" % n)
        process.stdin.flush()
        lines.wait_for(n + 1)
    process.stdin.close()
    process.wait(10)
    assert journal.end(run) == Extent(5, 5 * len("line 0\n"))
    assert lines.all == [b"line %d" % n for n in range(5)]


def test_what_is_there_already_is_taken_in_before_follow_returns(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\nb\npart")
    run, lines = run_over(tmp_path / "log"), Lines()
    journal.follow(run, lines)
    assert lines.all == [b"a", b"b"]
    assert journal.extent(run) == Extent(2, 4)
    assert journal.last_line(run.task_id, 0) == 2
    journal.end(run)


def test_a_last_line_without_a_newline_counts_and_gets_one(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\nhalf")
    run, lines = run_over(tmp_path / "log"), Lines()
    journal.follow(run, lines)
    assert journal.end(run) == Extent(2, 7)
    assert lines.all == [b"a", b"half"]
    assert (tmp_path / "log").read_bytes() == b"a\nhalf\n"


def test_a_line_that_comes_in_pieces_is_one_line(journal: Journal, tmp_path: Path) -> None:
    run, lines = run_over(tmp_path / "log"), Lines()
    journal.follow(run, lines)
    with Path(run.log_path).open("ab", buffering=0) as log:
        log.writelines((b"one ", b"two ", b"three\nfour"))
        lines.wait_for(1)
        log.write(b"\n")
        lines.wait_for(2)
    journal.end(run)
    assert lines.all == [b"one two three", b"four"]


def test_bytes_that_are_no_text_arrive_as_they_are(journal: Journal, tmp_path: Path) -> None:
    raw = b"\xff\xfe\0nul\0\r mid \x0b\x0c\x85\xe2\x80\xa8"
    (tmp_path / "log").write_bytes(raw + b"\n")
    run, lines = run_over(tmp_path / "log"), Lines()
    journal.follow(run, lines)
    extent = journal.end(run)
    assert lines.all == [raw]
    assert read_all(run, extent) == [(1, raw)]


def test_the_extent_is_known_until_it_is_released(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\n")
    run = run_over(tmp_path / "log")
    journal.follow(run, lambda _: None)
    journal.end(run)
    assert journal.extent(run) == Extent(1, 2)
    journal.release(run)
    assert journal.extent(run) == Extent(0, 0)
    assert journal.last_line(run.task_id, 41) == 41


def test_hundreds_of_logs_are_followed_by_one_thread(journal: Journal, tmp_path: Path) -> None:
    threads = threading.active_count()
    followed = [(run_over(tmp_path / f"log{n}"), Lines()) for n in range(200)]
    for run, lines in followed:
        journal.follow(run, lines)
    for round_ in range(3):
        for run, _ in followed:
            with Path(run.log_path).open("ab") as log:
                log.write(b"%d\n" % round_)
    for run, lines in followed:
        lines.wait_for(3)
        journal.end(run)
        assert lines.all == [b"0", b"1", b"2"]
    assert threading.active_count() <= threads


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.integers(0, 3).map(lambda n: b"x" * (reading.CHUNK - 2 + n)),
            st.integers(0, 3).map(lambda n: b"y" * (reading.LONGEST_WHOLE - 2 + n)),
        ).map(lambda line: line.replace(b"\n", b"")),
        max_size=12,
    ),
    first_line=st.integers(1, 1000),
    data=st.data(),
)
def test_every_line_is_read_once_from_any_position(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], first_line: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    extent = Extent(len(lines), path.stat().st_size)
    run = run_over(path, first_line)
    after = data.draw(st.integers(first_line - 1, first_line - 1 + len(lines)))
    expected = list(enumerate(lines, start=first_line))
    assert read_all(run, extent, after) == [(number, line) for number, line in expected if number > after]
    path.unlink()


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_lines_are_counted_the_same_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    lines: list[bytes] = []
    growing = GrowingLog(run_over(path), lines.append, lambda: None)
    at = 0
    for cut in [*sorted(cuts), len(content)]:
        with path.open("ab") as log:
            log.write(content[at:cut])
        at = max(at, cut)
        growing.read()
        assert growing.extent.lines == content[:at].count(b"\n")
    extent = growing.end()
    closed = content if content.endswith(b"\n") or not content else content + b"\n"
    assert path.read_bytes() == closed
    assert lines == closed.split(b"\n")[:-1]
    assert extent == Extent(len(lines), len(closed))


def truncate(path: Path) -> None:
    os.truncate(path, 3)


@pytest.mark.parametrize("loss", [Path.unlink, truncate])
def test_a_log_that_was_cut_or_deleted_is_a_clear_error(tmp_path: Path, loss: Callable[[Path], None]) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")
    loss(path)
    with pytest.raises(errors.LogLost, match="is gone") as lost:
        read_all(run_over(path), Extent(3, 14))
    assert lost.value.metadata["line"] == "1"
