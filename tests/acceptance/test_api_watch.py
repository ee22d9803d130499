"""WatchTask: where a watch may start, its first and last message, and its heartbeats."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import api_server
from support.api_calls import PATIENCE, request
from support.api_server import ApiServer, Gate
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "2") as running:
        yield running


@pytest.fixture(scope="module")
def resting(server: ApiServer) -> Task:
    """A task with some lines."""
    project = server.client.create_task_list("Mine")
    overrides = taskgrove.run_config(agent="command", command="seq 10")
    return server.client.wait(server.client.enqueue(project.id, "x", overrides=overrides).id)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_watch_begins_with_opened_and_ends_with_rested(server: ApiServer, resting: Task) -> None:
    opened, *lines, rested = server.call("WatchTask", task_id=resting.id)
    assert opened.opened.task == rested.rested.task == resting
    assert (opened.opened.first_line, opened.opened.last_line) == (1, resting.last_line)
    assert sum(message.lines.count for message in lines) == resting.last_line == 11


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_watch_goes_on_after_the_line_that_is_named(server: ApiServer, resting: Task, left: int) -> None:
    after_line = resting.last_line - left
    opened, *lines, rested = server.call("WatchTask", task_id=resting.id, after_line=after_line)
    assert opened.HasField("opened")
    assert rested.HasField("rested")
    assert [message.lines.first_line for message in lines] == ([after_line + 1] if left else [])
    assert sum(message.lines.count for message in lines) == left


@pytest.mark.parametrize("beyond", [1, 1000, None])
def test_a_line_that_does_not_exist_is_out_of_range(server: ApiServer, resting: Task, beyond: int | None) -> None:
    after_line = 2**63 - 1 if beyond is None else resting.last_line + beyond
    refusal = server.refuse(request("WatchTask", task_id=resting.id, after_line=after_line))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.OUT_OF_RANGE, "LINE_OUT_OF_RANGE")
    assert refusal.metadata == {"after_line": str(after_line), "last_line": str(resting.last_line)}


def test_a_silent_task_sends_heartbeats(server: ApiServer, gate: Gate) -> None:
    task = server.enqueue_gated(server.client.create_task_list("Silent").id, gate)
    message = request("WatchTask", task_id=task.id, heartbeat_interval={"seconds": 1})
    stream = TaskServiceStub(server.api.channel).WatchTask(message, timeout=PATIENCE)
    assert next(stream).HasField("opened")
    silent_since = time.monotonic()
    for beats in (1, 2):
        heartbeat = next(stream)
        assert heartbeat.HasField("heartbeat"), heartbeat
        assert heartbeat.heartbeat.last_line == 0
        # An upper bound would only measure the machine.
        assert time.monotonic() - silent_since >= beats - 0.1
    gate.open()
    events = [event.WhichOneof("event") for event in stream]
    assert events[-1] == "rested"


def test_a_watch_that_is_cancelled_disturbs_nobody(server: ApiServer, gate: Gate) -> None:
    task = server.enqueue_gated(server.client.create_task_list("Watched").id, gate)
    stub = TaskServiceStub(server.api.channel)
    gone = stub.WatchTask(request("WatchTask", task_id=task.id), timeout=PATIENCE)
    stays = stub.WatchTask(request("WatchTask", task_id=task.id), timeout=PATIENCE)
    assert next(gone).HasField("opened")
    assert next(stays).HasField("opened")
    logged = server.running.log.stat().st_size
    gone.cancel()
    gate.open()
    assert [event.WhichOneof("event") for event in stays][-1] == "rested"
    assert b"Traceback" not in server.running.log.read_bytes()[logged:]
