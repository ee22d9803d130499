"""Other programs of the user have used up what the kernel grants of inotify: no instance, or no watch, is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import descriptors, namespaces, tasks_following, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

SHARES = ["max_inotify_instances", "max_inotify_watches"]

INOTIFY = "anon_inode:inotify"


def logs_open(server: RunningServer) -> int:
    return sum(target.endswith(".ndjson") for target in descriptors.of(server.pid))


@pytest.mark.parametrize("share", SHARES)
def test_tasks_run_are_watched_and_are_cancelled_without_inotify(share: str, tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "2", within=namespaces.limited(share, 0)) as server,
        server.client() as client,
        Gate(tmp_path / "gate") as gate,
    ):
        assert INOTIFY not in descriptors.of(server.pid) or share == "max_inotify_watches"
        task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
        endless = tasks_work.make_list(client, "echo endless; exec sleep 3600")
        with (
            Follower(client, client.enqueue(task_list.id, "Do it").id) as follower,
            Follower(client, client.enqueue(endless.id, "Do it").id) as cancelled,
        ):
            # While the agents go on, not only at their end.
            follower.wait_for_text("one")
            cancelled.wait_for_text("endless")
            client.cancel(cancelled.task_id)
            assert cancelled.rested().state == Task.STATE_CANCELLED
            gate.open()
            assert follower.rested().state == Task.STATE_SUCCEEDED
            assert tasks_following.texts(follower.events) == ["one", "two"]
        for _ in range(5):
            assert tasks_work.run(client, "echo again").state == Task.STATE_SUCCEEDED
        tasks_gates.until(lambda: logs_open(server) == 0, "all logs are closed")
        assert descriptors.of(server.pid).count(INOTIFY) <= 1
        said = server.log.read_text()
        assert "inotify" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("share", SHARES)
def test_inotify_is_used_again_once_there_is_some(share: str, tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "2", within=namespaces.limited(share, 0)) as server,
        server.client() as client,
        Gate(tmp_path / "gate") as gate,
    ):
        task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as napping:
            napping.wait_for_text("one")
            assert descriptors.files_noticed(server.pid) == 0
            namespaces.set_limit(server.pid, share, 100)
            with Follower(client, client.enqueue(task_list.id, "Do it").id) as noticed:
                noticed.wait_for_text("one")
                assert descriptors.files_noticed(server.pid) == 1
                gate.open()
                # The one that began before goes on as it was.
                for follower in (napping, noticed):
                    assert follower.rested().state == Task.STATE_SUCCEEDED
                    assert tasks_following.texts(follower.events) == ["one", "two"]
        assert descriptors.files_noticed(server.pid) == 0
