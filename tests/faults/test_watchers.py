"""Watchers that freeze or vanish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import taskgrove
from support import tasks_following, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

#: Watches a task, tells when it has seen a line, and reads on.
_WATCHER = """
import sys
import taskgrove

with taskgrove.Client(sys.argv[1], token=sys.argv[2]) as client:
    for number, _ in enumerate(client.lines(sys.argv[3], reconnect_timeout=60), 1):
        if number == 1:
            print("watching", flush=True)
    print(number, flush=True)
"""


def start_watcher(server: RunningServer, task_id: str) -> subprocess.Popen[str]:
    """Starts a watcher in a process of its own, and waits until it has seen a line."""
    token = (server.data / "token").read_text().strip()
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCHER, server.target, token, task_id], stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "watching\n"
    return watcher


def test_a_frozen_and_a_killed_watcher_disturb_nobody(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        # More than the buffers between the two can hold.
        many = "head -c 30000000 /dev/zero | tr '\\0' x | fold -w 999; echo"
        task_list = tasks_work.make_list(client, f"echo first; {gate.pass_through}; {many}")
        task_id = client.enqueue(task_list.id, "Do it").id

        def watches() -> int:
            links = [path.readlink() for path in Path(f"/proc/{server.pid}/fd").iterdir() if path.is_symlink()]
            return sum(task_id in str(link) for link in links)

        with (
            Follower(client, task_id) as follower,
            start_watcher(server, task_id) as frozen,
            start_watcher(server, task_id) as killed,
        ):
            follower.wait_for_text("first")
            os.kill(frozen.pid, signal.SIGSTOP)
            all_three = watches()
            os.kill(killed.pid, signal.SIGKILL)
            tasks_gates.until(lambda: watches() < all_three, "the server has forgotten the one that was killed")
            gate.open()
            task = follower.rested()
            assert task.state == Task.STATE_SUCCEEDED
            assert tasks_following.numbers_are_dense(follower.events)
            os.kill(frozen.pid, signal.SIGCONT)
            # It goes on where it was, and misses nothing.
            assert frozen.communicate(timeout=tasks_gates.PATIENCE)[0] == f"{task.last_line}\n"
