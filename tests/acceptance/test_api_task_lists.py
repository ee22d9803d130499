"""Task lists: what an update and a deletion do, and when they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import api_server, repositories
from support.api_calls import request
from support.api_server import ApiServer, Gate
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.task_pb2 import Task


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "1") as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


FULL = taskgrove.run_config(
    agent="command",
    model="m",
    system_prompt="s",
    permission_mode="plan",
    allowed_tools=["Read"],
    max_turns=3,
    command=["true"],
)


def test_a_list_is_kept_as_it_was_made(server: ApiServer, repository: Path) -> None:
    made = server.client.create_task_list("Mine", working_dir=repository, defaults=FULL)
    assert (made.title, made.working_dir, made.defaults) == ("Mine", str(repository), FULL)
    assert made.create_time == made.update_time
    assert made.create_time.seconds > 1_700_000_000
    assert server.client.get_task_list(made.id) == made
    assert list(server.client.list_task_lists(working_dir=repository)) == [made]


def test_an_update_changes_what_is_present_and_nothing_else(server: ApiServer, repository: Path) -> None:
    made = server.client.create_task_list("Mine", working_dir=repository, defaults=FULL)
    titled = server.call("UpdateTaskList", task_list_id=made.id, title="Renamed").task_list
    assert (titled.title, titled.defaults, titled.working_dir) == ("Renamed", FULL, str(repository))
    assert titled.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert titled.create_time == made.create_time
    # A field that is unset in the new defaults is unset afterwards.
    fewer = RunConfig(max_turns=5)
    changed = server.call("UpdateTaskList", task_list_id=made.id, defaults=fewer).task_list
    assert (changed.title, changed.defaults) == ("Renamed", fewer)
    both = server.call("UpdateTaskList", task_list_id=made.id, title="Both", defaults={}).task_list
    assert (both.title, both.defaults) == ("Both", RunConfig())
    assert server.client.get_task_list(made.id) == both


def test_a_task_that_waits_takes_the_defaults_of_its_list_when_it_starts(server: ApiServer, gate: Gate) -> None:
    project = server.client.create_task_list("Mine", defaults=taskgrove.run_config(agent="command", command="false"))
    running = server.enqueue_gated(project.id, gate)
    waiting = server.client.enqueue(project.id, "Waits")
    server.client.update_task_list(project.id, defaults=taskgrove.run_config(agent="command", command="echo new"))
    gate.open()
    assert server.client.wait(running.id).state == Task.STATE_SUCCEEDED
    assert server.client.wait(waiting.id).result == "new"


def test_a_list_with_active_tasks_is_not_deleted(server: ApiServer, gate: Gate) -> None:
    project = server.client.create_task_list("Mine", defaults=api_server.AT_ONCE)
    running = server.enqueue_gated(project.id, gate)
    for task in (server.client.enqueue(project.id, "Queued"), running):
        refusal = server.refuse(request("DeleteTaskList", task_list_id=project.id))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TASK_LIST_ACTIVE")
        assert refusal.metadata == {"task_list_id": project.id}
        server.client.cancel(task.id)
    server.client.wait(running.id)
    server.client.delete_task_list(project.id)


def test_a_list_that_is_deleted_leaves_its_tasks_to_be_read(server: ApiServer, repository: Path) -> None:
    project = server.client.create_task_list("Mine", working_dir=repository, defaults=api_server.AT_ONCE)
    task = server.resting_task(project.id)
    runs = list(server.client.list_runs(task.id))
    with_branch = repositories.branches(repository)
    server.call("DeleteTaskList", task_list_id=project.id)
    for message in (
        request("GetTaskList", task_list_id=project.id),
        request("DeleteTaskList", task_list_id=project.id),
        request("UpdateTaskList", task_list_id=project.id, title="x"),
        request("Enqueue", task_list_id=project.id, title="x"),
    ):
        assert server.refuse(message).reason == "TASK_LIST_NOT_FOUND"
    assert project.id not in {other.id for other in server.client.list_task_lists()}
    assert server.client.get_task(task.id) == task
    assert list(server.client.list_tasks(task_list_id=project.id)) == [task]
    assert list(server.client.list_runs(task.id)) == runs
    assert server.call("Cancel", task_id=task.id).task == task
    assert Path(task.worktree.path).is_dir()
    assert repositories.branches(repository) == with_branch


def test_a_task_of_a_deleted_list_cannot_be_continued(server: ApiServer) -> None:
    project = server.client.create_task_list("Mine")
    task = server.resting_task(project.id)
    server.client.delete_task_list(project.id)
    refusal = server.refuse(request("Continue", task_id=task.id, prompt="x"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TASK_LIST_NOT_FOUND")
    assert refusal.metadata == {"task_list_id": project.id}
