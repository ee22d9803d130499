"""Servers that the system grants few open files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from support import tasks_following, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

WATCHES = 8


def limited(files: int) -> tuple[str, ...]:
    """Returns what starts a command with a hard limit of open files."""
    return "sh", "-c", f'ulimit -n {files} && exec "$@"', "sh"


@pytest.mark.parametrize(("files", "most"), [(1024, 352), (256, 32)])
def test_several_watches_are_served_with_few_open_files(tmp_path: Path, files: int, most: int) -> None:
    with RunningServer("--slots", "4", within=limited(files)) as server, server.client() as client:
        assert f"At most {most} watches are served: the system grants {files} open files" in server.log.read_text()
        with Gate(tmp_path / "gate") as gate, contextlib.ExitStack() as followers:
            task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
            tasks = [client.enqueue(task_list.id, "Do it").id for _ in range(4)]
            gate.wait_for_arrivals(4)
            following = [
                followers.enter_context(Follower(followers.enter_context(server.client()), tasks[n % 4]))
                for n in range(WATCHES)
            ]
            for follower in following:
                follower.wait_for_text("one")
            gate.open()
            for follower in following:
                assert follower.rested().state == Task.STATE_SUCCEEDED
                assert tasks_following.texts(follower.events) == ["one", "two"]
        assert "Traceback" not in server.log.read_text()
