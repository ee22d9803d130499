"""A process whose log reaches its limit."""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import process_room
from support.process_room import Room, end_of
from taskgrove_server.processes.log_file import LogFile
from taskgrove_server.processes.spec import Rung
from taskgrove_server.processes.stdio import Output
from taskgrove_server.processes.times import Times

MIB = 1 << 20

#: Prints without end, and heeds no signal but SIGKILL.
DEAF = ("perl", "-e", '$SIG{$_} = "IGNORE" for qw(INT TERM HUP PIPE); print "y" x 998, "\\n" while 1')


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


def test_a_run_whose_log_reaches_its_limit_is_stopped_by_its_supervisor(room: Room) -> None:
    spec = room.spec("yes", "0123456", log_limit=MIB)
    end = end_of(room.start(spec))
    assert (end.log_limit, end.exit_code, end.supervised) == (MIB, 143, True)
    assert room.log(spec.run_id) == b"0123456\n" * (MIB // 8)


@pytest.mark.parametrize("block", [77, 1000, 4096, 50_000, 65_536])
def test_a_log_at_its_limit_ends_with_the_last_line_that_fits(room: Room, block: int) -> None:
    (room.path / "lines").write_bytes((b"x" * 2999 + b"\n") * 400)
    spec = room.spec("dd", "if=lines", f"bs={block}", "status=none", log_limit=MIB)
    assert end_of(room.start(spec)).log_limit == MIB
    assert room.log(spec.run_id) == (b"x" * 2999 + b"\n") * (MIB // 3000)


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1])
def test_a_line_without_an_end_fits_as_any_other(room: Room, size: int) -> None:
    spec = room.spec("sh", "-c", f"echo one; head -c {size - 4} /dev/zero", log_limit=MIB)
    end = end_of(room.start(spec))
    if size > MIB:
        assert end.log_limit == MIB
        assert room.log(spec.run_id).startswith(b"one\n")
    else:
        assert (end.log_limit, end.exit_code) == (None, 0)
        assert room.log(spec.run_id) == b"one\n" + bytes(size - 4)


def test_a_log_that_just_fits_has_not_reached_its_limit(room: Room) -> None:
    spec = room.spec("sh", "-c", f"yes 0123456 | head -c {MIB}; exit 3", log_limit=MIB)
    end = end_of(room.start(spec))
    assert (end.log_limit, end.exit_code, end.stopped) == (None, 3, False)
    assert len(room.log(spec.run_id)) == MIB


def test_one_byte_too_many_reaches_the_limit_though_the_process_has_ended(room: Room) -> None:
    spec = room.spec("sh", "-c", f"yes 0123456 | head -c {MIB}; echo", log_limit=MIB)
    end = end_of(room.start(spec))
    assert end.log_limit == MIB
    assert len(room.log(spec.run_id)) == MIB


def test_a_process_that_heeds_no_signal_prints_nothing_beyond_the_limit_either(room: Room) -> None:
    spec = room.spec(*DEAF, log_limit=MIB, ladder=(Rung("SIGTERM", 0.3),))
    end = end_of(room.start(spec))
    assert (end.log_limit, end.exit_code) == (MIB, 137)
    assert len(room.log(spec.run_id)) <= MIB


def test_a_process_at_the_limit_may_still_do_what_it_does_when_it_is_stopped(room: Room) -> None:
    # It would not get there if its output were not taken any more.
    tidies = f"$SIG{{TERM}} = sub {{ print 'z' x {3 * MIB}; open F, '>', 'tidied'; exit 9 }};"
    program = f"{tidies} print 'y' x 999, qq(\\n) while 1"
    spec = room.spec("perl", "-e", program, log_limit=MIB, ladder=(Rung("SIGTERM", 60),))
    end = end_of(room.start(spec))
    assert (end.log_limit, end.exit_code) == (MIB, 9)
    assert (room.path / "tidied").exists()


def test_a_stop_that_came_before_the_limit_is_what_counts(room: Room) -> None:
    spec = room.spec(*process_room.STUBBORN[:1], "-e", "$SIG{TERM} = sub { print 'y' x 999, qq(\\n) while 1 }; "
                     "$| = 1; print qq(ready\\n); sleep 1000", log_limit=MIB, ladder=(Rung("SIGTERM", 1),))  # fmt: skip
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    handle.stop()
    end = end_of(handle)
    assert (end.log_limit, end.stopped, end.exit_code) == (None, True, 137)
    assert len(room.log(spec.run_id)) <= MIB


@given(
    lines=st.lists(st.integers(0, 3000).map(lambda size: b"x" * size + b"\n"), max_size=30),
    end=st.integers(0, 200).map(bytes),
    block=st.integers(1, 5000),
    limit=st.integers(0, 30_000),
)
def test_however_it_is_printed_a_log_holds_the_lines_that_fit(
    lines: list[bytes], end: bytes, block: int, limit: int
) -> None:
    printed = b"".join(lines) + end
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        readable, writable = os.pipe()
        descriptor = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        output = Output(select.poll(), readable, LogFile(descriptor, limit=limit, floor=0), Times())
        for begin in range(0, len(printed), block):
            os.write(writable, printed[begin : begin + block])
            output.ready(select.POLLIN)
        os.close(writable)
        assert output.finish()
        os.close(descriptor)
        held = Path("log").read_bytes()
    fitting = printed if len(printed) <= limit else printed[: printed[:limit].rfind(b"\n") + 1]
    assert held == fitting
    assert output.beyond_limit == (len(printed) > limit)
