"""Callers leave before they are answered, or change their mind at once: what they asked for is done all the same."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Iterator

import grpc
import pytest

import taskgrove
from support import tasks_chance, tasks_work
from support.server import RunningServer
from taskgrove.v1 import task_service_pb2 as messages
from taskgrove.v1 import task_service_pb2_grpc
from taskgrove.v1.task_pb2 import Task

#: Tasks of each test.
COUNT = 40

#: Seconds of the longest deadline and of the longest hesitation: a change of a task takes some milliseconds.
LONGEST = 0.02


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with a slot for every task."""
    with RunningServer("--slots", str(COUNT)) as running:
        yield running


@pytest.fixture
def moments() -> random.Random:
    """Chooses when."""
    return tasks_chance.seeded()


@pytest.fixture
def calls(server: RunningServer) -> Iterator[task_service_pb2_grpc.TaskServiceStub]:
    """Calls without anything that makes them patient."""
    with grpc.insecure_channel(server.target, options=[("grpc.enable_retries", 0)]) as channel:
        grpc.channel_ready_future(channel).result(30)
        yield task_service_pb2_grpc.TaskServiceStub(channel)


def test_a_task_begins_although_its_caller_has_left(
    client: taskgrove.Client, calls: task_service_pb2_grpc.TaskServiceStub, moments: random.Random
) -> None:
    task_list = tasks_work.make_list(client, "true")
    requests = [
        messages.EnqueueRequest(task_list_id=task_list.id, title=f"Task {number}", request_id=str(uuid.uuid4()))
        for number in range(COUNT)
    ]
    for request in requests:
        with contextlib.suppress(grpc.RpcError):
            calls.Enqueue(request, timeout=moments.uniform(0.0005, LONGEST))
    stored = [task.id for task in client.list_tasks(task_list_id=task_list.id)]
    for task_id in stored:
        assert tasks_work.rest(client, task_id).state == Task.STATE_SUCCEEDED
    # The prescribed repeat finds the same tasks, and those that were never stored are done as well.
    repeated = [calls.Enqueue(request).task.id for request in requests]
    assert set(stored) <= set(repeated)
    assert len(set(repeated)) == COUNT
    for task_id in repeated:
        task = tasks_work.rest(client, task_id)
        assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)


def test_a_cancel_is_carried_out_although_its_caller_has_left(
    client: taskgrove.Client, calls: task_service_pb2_grpc.TaskServiceStub, moments: random.Random
) -> None:
    task_list = tasks_work.make_list(client, "exec sleep 600")
    task_ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(COUNT)]
    for task_id in task_ids:
        with contextlib.suppress(grpc.RpcError):
            calls.Cancel(messages.CancelRequest(task_id=task_id), timeout=moments.uniform(0.0005, LONGEST))
    for task_id in task_ids:
        task = client.get_task(task_id)
        if task.cancel_requested or task.state == Task.STATE_CANCELLED:
            assert tasks_work.rest(client, task_id).state == Task.STATE_CANCELLED
    for task_id in task_ids:
        client.cancel(task_id)
        assert tasks_work.rest(client, task_id).state == Task.STATE_CANCELLED


def test_a_cancel_in_the_first_milliseconds_of_a_task_is_heard(
    client: taskgrove.Client, moments: random.Random
) -> None:
    task_list = tasks_work.make_list(client, "exec sleep 600")
    for number in range(COUNT):
        task_id = client.enqueue(task_list.id, f"Task {number}").id
        time.sleep(moments.uniform(0, LONGEST))
        client.cancel(task_id)
        assert tasks_work.rest(client, task_id).state == Task.STATE_CANCELLED
