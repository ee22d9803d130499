"""What a process prints arrives in its log, whole and in order."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import Room, end_of
from taskgrove_server.processes.log_file import LogFile
from taskgrove_server.processes.stdio import Output
from taskgrove_server.processes.times import Times

MIB = 1 << 20


@pytest.fixture(params=[False, True], ids=["directly", "forked"])
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    with process_room.room(tmp_path, forked=request.param) as opened:
        yield opened


@pytest.mark.parametrize("block", ["1", "100", "64k", "3M"])
def test_every_byte_arrives_in_order(room: Room, block: str) -> None:
    size = 20_000 if block == "1" else 30 * MIB
    content = os.urandom(size)
    (room.path / "content").write_bytes(content)
    end = end_of(room.start(spec := room.spec("dd", "if=content", f"bs={block}", "status=none")))
    assert end.exit_code == 0
    assert room.log(spec.run_id) == content


def test_a_line_of_64_mb_arrives_whole(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo first; head -c 64000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id) == b"first\n" + b"x" * 64_000_000 + b"\nlast\n"


def test_output_that_is_opened_anew_truncates_nothing(room: Room) -> None:
    anew = ("/dev/stdout", "/proc/self/fd/1", "/dev/fd/1")
    truncates = "truncate -s 0 /dev/stdout 2>/dev/null; perl -e 'truncate STDOUT, 0; seek STDOUT, 0, 0'"
    more = "; ".join(f"echo more > {name}" for name in anew)
    spec = room.spec("sh", "-c", f"echo one; {more}; {truncates}; echo two")
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id) == b"one\nmore\nmore\nmore\ntwo\n"


def test_what_is_printed_while_the_rest_is_swept_is_taken(room: Room) -> None:
    # More than a pipe holds, printed at the signal that comes when the agent has ended.
    print_much = f"yes {'x' * 999} | head -c 3000000"
    child = f"trap '{print_much}; echo end; exit' TERM; echo ready; while :; do sleep 0.01; done"
    environment = {"PATH": os.environ["PATH"], "CHILD": child}
    spec = room.spec(
        "sh", "-c", 'sh -c "$CHILD" & read -r _', environment=environment, keep_stdin_open=True, sweep_grace=20
    )
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready\n")
    handle.close_stdin()
    end = end_of(handle)
    assert (end.exit_code, end.survivors) == (1, 0)
    assert room.log(spec.run_id) == b"ready\n" + (b"x" * 999 + b"\n") * 3000 + b"end\n"


def test_who_keeps_the_output_open_is_swept_and_keeps_nobody(room: Room) -> None:
    spec = room.spec("sh", "-c", "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; yes' & done; sleep 0.1; exit 4")
    end = end_of(room.start(spec))
    assert (end.exit_code, end.survivors) == (4, 0)
    assert end.swept >= 3


def test_what_a_survivor_goes_on_to_print_keeps_nobody(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        output = Output(select.poll(), readable, LogFile(descriptor, limit=MIB, floor=0), Times())
    os.write(writable, b"before\n")
    # Nobody closes the other end.
    assert output.finish()
    assert (tmp_path / "log").read_bytes() == b"before\n"
    for open_one in (readable, writable, descriptor):
        os.close(open_one)
