"""As many watches as the server may serve, and one more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server for two watchers."""
    with RunningServer("--max-watchers", "2") as running:
        yield running


def test_a_watch_too_many_is_refused_until_another_ends(client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_id = client.enqueue(tasks_work.make_list(client, f"echo one; {gate.pass_through}").id, "Do it").id
        with Follower(client, task_id) as first:
            first.wait_for_text("one")
            with Follower(client, task_id) as second:
                second.wait_for_text("one")
                with pytest.raises(taskgrove.TooManyWatchers) as refused:
                    list(client.watch(task_id))
                assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert refused.value.metadata == {"limit": "2"}
                assert refused.value.retry_delay == 1
            # All else goes on.
            assert client.get_task(task_id).state == Task.STATE_RUNNING
            tasks_gates.until(lambda: can_watch(client, task_id), "the place of the watch that has ended")
            gate.open()
            assert first.rested().state == Task.STATE_SUCCEEDED


def can_watch(client: taskgrove.Client, task_id: str) -> bool:
    with client.watch(task_id) as watch:
        try:
            next(iter(watch))
        except taskgrove.TooManyWatchers:
            return False
    return True


def test_who_had_a_place_waits_for_one_after_a_restart(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_id = client.enqueue(tasks_work.make_list(client, f"echo one; {gate.pass_through}").id, "Do it").id
        with Follower(client, task_id) as first, Follower(client, task_id) as second:
            for follower in (first, second):
                follower.wait_for_text("one")
            server.kill()
            server.start("--max-watchers", "1")
            gate.open()
            assert [follower.rested().state for follower in (first, second)] == [Task.STATE_SUCCEEDED] * 2
