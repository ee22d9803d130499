"""A server and its supervisors of different versions, as when the package is upgraded under them."""

from __future__ import annotations

import json
import marshal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import BOUND, Room, end_of
from taskgrove_server.processes import files, program
from taskgrove_server.processes.ending import ProcessEnd

#: What orders, and the word of an end, did not have from the first version on.
LATER_ORDERS = ("log_limit", "least_free")
LATER_ENDS = ("spawn_stage", "spawn_errno", "log_limit")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("server", ["earlier", "later"])
def test_the_orders_of_a_server_of_another_version_are_carried_out(room: Room, server: str) -> None:
    spec = room.spec("sh", "-c", "cat; exit 3", stdin=b"hello\n")
    directory = process_room.write_orders(room, spec)
    orders = marshal.loads((directory / files.ORDERS).read_bytes())
    if server == "later":
        orders["unheard_of"] = 1
    else:
        for name in LATER_ORDERS:
            del orders[name]
    (directory / files.ORDERS).write_bytes(marshal.dumps(orders, 4))
    subprocess.run([sys.executable, "-I", "-S", str(program.PROGRAM), str(directory)], timeout=BOUND, check=True)
    end = room.adopt(spec.run_id)
    assert isinstance(end, ProcessEnd)
    assert (end.exit_code, end.supervised) == (3, True)
    assert room.log(spec.run_id) == b"hello\n"


def test_the_end_that_a_supervisor_of_an_earlier_version_wrote_is_understood(room: Room) -> None:
    spec = room.spec("sh", "-c", "exit 3")
    end_of(room.start(spec))
    path = room.path / spec.run_id / files.EXIT
    end = json.loads(path.read_bytes())
    path.write_text(json.dumps({name: value for name, value in end.items() if name not in LATER_ENDS}))
    adopted = room.adopt(spec.run_id)
    assert isinstance(adopted, ProcessEnd)
    assert (adopted.exit_code, adopted.supervised) == (3, True)
    assert (adopted.spawn_stage, adopted.spawn_errno, adopted.log_limit) == (None, None, None)
