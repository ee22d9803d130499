"""The server is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import taskgrove
from support import (
    tasks_counting,
    tasks_following,
    tasks_processes,
    tasks_work,
)
from support.server import RunningServer
from support.tasks_following import Follower
from taskgrove import errors
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

SLOTS = 3


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of the test's own, to be killed."""
    with RunningServer("--slots", str(SLOTS), "--retry-pause", "0.1") as running:
        yield running


def test_sigterm_leaves_runs_to_the_next_server(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    task_list = tasks_work.make_list(client, tasks_counting.command(500, ran), repository)
    queued = [client.enqueue(task_list.id, f"Task {number}").id for number in range(SLOTS + 1)]
    followers = [Follower(client, task_id) for task_id in queued]
    for follower in followers[:SLOTS]:
        follower.wait_for_text("1")
    supervisors = tasks_processes.supervisors(server)
    assert server.terminate() == 0
    assert [pid for pid in supervisors if tasks_processes.is_alive(pid)] == supervisors
    server.start()
    for follower in followers:
        tasks_counting.check_one_run_and_one_commit(client, repository, follower.rested(), ran)
        assert tasks_following.texts(follower.events) == [str(number) for number in range(1, 501)]


def test_calls_are_told_to_come_back_while_the_server_drains(server: RunningServer, client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "echo $$; exec sleep 1000")
    with (
        Follower(client, client.enqueue(task_list.id, "Do it").id) as follower,
        grpc.insecure_channel(server.target) as channel,
    ):
        follower.wait_for(tasks_following.texts, "a process id")
        tasks = TaskServiceStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stub's type has no Watch
        watch = tasks.WatchTask(tasks_pb2.WatchTaskRequest(task_id=follower.task_id))
        assert next(watch).HasField("opened")
        states = health.Watch(health_pb2.HealthCheckRequest())
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        os.kill(server.pid, signal.SIGTERM)
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        refusals = [errors.from_rpc_error(error, server.target) for error in refused(tasks, watch)]
        assert [refusal.code for refusal in refusals] == [grpc.StatusCode.UNAVAILABLE] * 2
        assert [refusal.reason for refusal in refusals] == ["SERVER_DRAINING"] * 2
        assert [refusal.retry_delay for refusal in refusals] == [1, 1]
        assert server.terminate() == 0
        server.start()
        client.cancel(follower.task_id)
        assert follower.rested().state == Task.STATE_CANCELLED


def refused(tasks: TaskServiceStub, watch: Iterator[tasks_pb2.WatchTaskResponse]) -> list[grpc.RpcError]:
    """Returns how a new call and an open watch are refused."""
    with pytest.raises(grpc.RpcError) as call:
        tasks.ListTasks(tasks_pb2.ListTasksRequest())
    with pytest.raises(grpc.RpcError) as ended:
        list(watch)
    return [call.value, ended.value]


def test_sigterm_with_stop_runs_ends_them(server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    server.terminate()
    server.start("--stop-runs")
    task_list = tasks_work.make_list(client, "echo $$; exec sleep 1000")
    running = [client.enqueue(task_list.id, f"Task {number}").id for number in range(SLOTS)]
    followers = [Follower(client, task_id) for task_id in running]
    for follower in followers:
        follower.wait_for(tasks_following.texts, "a process id")
    waiting = client.enqueue(task_list.id, "Waiting").id
    pids = [int(text) for follower in followers for text in tasks_following.texts(follower.events)]
    assert server.terminate() == 0
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    server.start()
    for follower in followers:
        task = follower.rested()
        assert task.state == Task.STATE_FAILED
        assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERRUPTED
        assert [run.state for run in tasks_work.runs(client, task)] == [Run.STATE_FAILED]
    # What had not begun is not touched.
    with Follower(client, waiting) as follower:
        follower.wait_for(tasks_following.texts, "a process id")
        client.cancel(waiting)
        assert follower.rested().state == Task.STATE_CANCELLED
