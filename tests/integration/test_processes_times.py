"""How old a process is, and how long it has been silent."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import Room, end_of
from taskgrove_server.processes import files
from taskgrove_server.processes.supervised import Supervised


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


def test_a_run_is_as_old_as_it_is_whatever_the_clock_says(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(
        room.path, "start", "sh", "-c", "echo ready; read -r _; echo more"
    )
    os.utime(room.path / f"{run_id}.ndjson", (0, 0))
    adopted = room.adopt(run_id)
    assert isinstance(adopted, Supervised)
    age, silence = process_room.times_of(adopted)
    assert 0 < silence <= age < process_room.BOUND
    before = time.monotonic()
    adopted.send(b"\n")
    room.wait_for(run_id, b"more")
    assert process_room.times_of(adopted)[1] <= time.monotonic() - before
    end_of(adopted)


def test_who_finds_no_times_says_so(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(room.path, "start", "sh", "-c", "echo ready; read -r _")
    (room.path / run_id / files.TIMES).unlink()
    adopted = room.adopt(run_id)
    assert isinstance(adopted, Supervised)
    assert adopted.age() is None
    assert adopted.silence() is None
