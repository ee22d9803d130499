"""A supervisor that stands by takes the next run, and is no more than a supervisor that was started for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import Room, end_of
from taskgrove_server.processes import starting
from taskgrove_server.processes.standby import Standby


@pytest.fixture
def standby(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standby]:
    """A supervisor that is ready."""
    ready = Standby()
    monkeypatch.setattr(starting, "standby", ready)
    ready.prepare()
    yield ready
    ready.dismiss()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


def pid_of(standby: Standby) -> int:
    assert standby._ready is not None
    return standby._ready.pid


def test_it_takes_the_next_run_and_another_can_stand_by(standby: Standby, room: Room) -> None:
    for _ in range(3):
        ready = pid_of(standby)
        spec = room.spec("sh", "-c", "cat; echo complaint >&2; exit 3", stdin=b"hello\n")
        handle = room.start(spec)
        assert room.supervisor(spec.run_id) == ready
        end = end_of(handle)
        assert (end.exit_code, end.supervised, end.stderr) == (3, True, "complaint\n")
        assert room.log(spec.run_id) == b"hello\n"
        standby.renew()
        assert pid_of(standby) != ready


def test_a_run_does_without_one_that_was_killed(standby: Standby, room: Room) -> None:
    killed = pid_of(standby)
    os.kill(killed, signal.SIGKILL)
    process_room.until(lambda: not process_room.lives(killed), "the end of the supervisor")
    spec = room.spec("sh", "-c", "echo hello")
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id) == b"hello\n"


def test_it_ends_when_it_is_dismissed_and_when_its_server_is_killed(standby: Standby) -> None:
    ready = pid_of(standby)
    standby.dismiss()
    assert not process_room.lives(ready)
    script = (
        "from taskgrove_server.processes.standby import Standby\n"
        "ready = Standby(); ready.prepare(); print(ready._ready.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        ready = int(server.stdout.readline())
        assert process_room.lives(ready)
        server.kill()
    process_room.until(lambda: not process_room.lives(ready), "the end of the supervisor")
