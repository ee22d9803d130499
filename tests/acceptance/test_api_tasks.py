"""Tasks: what Continue and Cancel do and when they are refused, and what ListRuns shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import api_server, repositories
from support.api_calls import request
from support.api_server import ApiServer, Gate
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import CancelResponse


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "1") as running:
        yield running


@pytest.fixture
def task_list_id(server: ApiServer) -> str:
    return server.client.create_task_list("Mine", defaults=api_server.AT_ONCE).id


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_task_is_kept_as_it_was_enqueued(server: ApiServer, task_list_id: str, gate: Gate) -> None:
    server.enqueue_gated(task_list_id, gate)
    subtasks = [{"title": "one"}, {"title": "two", "completed": True}]
    sent = request("Enqueue", task_list_id=task_list_id, title="T", description="D\n", subtasks=subtasks)
    task = server.api.call(sent).task
    assert (task.task_list_id, task.title, task.description) == (task_list_id, "T", "D\n")
    assert list(task.subtasks) == list(sent.subtasks)
    assert (task.state, task.slot, task.run_count, task.last_line) == (Task.STATE_QUEUED, 0, 0, 0)
    assert not any(task.HasField(name) for name in ("failure", "worktree", "start_time", "finish_time"))
    assert server.client.get_task(task.id) == task
    gate.open()
    assert server.client.wait(task.id).finish_time.seconds >= task.create_time.seconds


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_active_task_cannot_be_continued(server: ApiServer, task_list_id: str, gate: Gate, state: str) -> None:
    running = server.enqueue_gated(task_list_id, gate)
    task = running if state == "running" else server.client.enqueue(task_list_id, "Queued")
    refusal = server.refuse(request("Continue", task_id=task.id, prompt="x"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TASK_ACTIVE")
    assert refusal.metadata == {"task_id": task.id, "state": state}
    gate.open()
    server.client.wait(task.id)


def test_a_task_that_never_ran_cannot_be_continued(server: ApiServer, task_list_id: str, gate: Gate) -> None:
    server.enqueue_gated(task_list_id, gate)
    task = server.client.enqueue(task_list_id, "Queued")
    server.client.cancel(task.id)
    refusal = server.refuse(request("Continue", task_id=task.id, prompt="x"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_PREVIOUS_RUN")
    assert refusal.metadata == {"task_id": task.id}
    gate.open()


def test_a_task_whose_runs_left_no_session_cannot_be_continued(server: ApiServer, task_list_id: str) -> None:
    overrides = taskgrove.run_config(agent="claude", agent_path="/nowhere/agent.md")
    task = server.client.wait(server.client.enqueue(task_list_id, "x", overrides=overrides).id)
    assert (task.failure.kind, task.run_count) == (FailureKind.FAILURE_KIND_INVALID_CONFIG, 1)
    refusal = server.refuse(request("Continue", task_id=task.id, prompt="x"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_MISSING")
    assert refusal.metadata == {"task_id": task.id}


@pytest.mark.parametrize("command", ["true", "false"])
def test_a_resting_task_is_continued_in_its_session(server: ApiServer, task_list_id: str, command: str) -> None:
    overrides = taskgrove.run_config(agent="command", command=f"cat; {command}")
    task = server.client.wait(server.client.enqueue(task_list_id, "First", overrides=overrides).id)
    queued = server.call("Continue", task_id=task.id, prompt="Second").task
    assert queued.state == Task.STATE_QUEUED
    assert not queued.HasField("failure")
    assert not queued.HasField("finish_time")
    again = server.client.wait(task.id)
    assert (again.state, again.run_count) == (task.state, 2)
    first, second = server.client.list_runs(task.id)
    assert (first.prompt, second.prompt) == ("First", "Second")
    assert first.session_id == second.session_id
    assert second.first_line == first.line_count + 1
    assert again.last_line == first.line_count + second.line_count


def test_a_cancel_takes_a_task_out_of_the_queue(server: ApiServer, task_list_id: str, gate: Gate) -> None:
    server.enqueue_gated(task_list_id, gate)
    task = server.client.enqueue(task_list_id, "Queued")
    answer = server.call("Cancel", task_id=task.id)
    assert answer.outcome == CancelResponse.OUTCOME_CANCELLED
    assert answer.task.state == Task.STATE_CANCELLED
    assert not answer.task.HasField("failure")
    assert answer.task.HasField("finish_time")
    gate.open()
    assert list(server.client.list_runs(task.id)) == []


def test_a_cancel_stops_a_task_that_runs_and_later_ones_change_nothing(
    server: ApiServer, task_list_id: str, gate: Gate
) -> None:
    task = server.enqueue_gated(task_list_id, gate)
    answer = server.call("Cancel", task_id=task.id)
    assert answer.outcome == CancelResponse.OUTCOME_STOPPING
    assert answer.task.cancel_requested
    rested = server.client.wait(task.id)
    assert rested.state == Task.STATE_CANCELLED
    with server.unchanged():
        again = server.call("Cancel", task_id=task.id)
    assert (again.outcome, again.task) == (CancelResponse.OUTCOME_ALREADY_RESTED, rested)
    (run,) = server.client.list_runs(task.id)
    assert (run.state, run.exit_code) == (Run.STATE_CANCELLED, -1)


def test_a_cancel_of_a_task_at_rest_changes_nothing(server: ApiServer, task_list_id: str) -> None:
    task = server.resting_task(task_list_id)
    with server.unchanged():
        answer = server.call("Cancel", task_id=task.id)
    assert (answer.outcome, answer.task) == (CancelResponse.OUTCOME_ALREADY_RESTED, task)


def test_a_cancel_while_the_changes_are_committed_comes_too_late(server: ApiServer, tmp_path: Path, gate: Gate) -> None:
    repository = repositories.make_repository(tmp_path / "slow", files={".gitattributes": "*.slow filter=slow\n"})
    # Git runs the filter when it stages the file, and perhaps again: the commit waits at the gate, once.
    passed = tmp_path / "passed"
    once = f"[ -e {passed} ] || {{ : > {passed}; {gate.command} >&2; }}; cat"
    repositories.git(repository, "config", "filter.slow.clean", f"sh -c '{once}'")
    defaults = taskgrove.run_config(agent="command", command="echo x > made.slow")
    project = server.client.create_task_list("Slow", working_dir=repository, defaults=defaults)
    task = server.client.enqueue(project.id, "x")
    gate.wait_until_reached()
    with server.unchanged(repository):
        answer = server.call("Cancel", task_id=task.id)
    assert answer.outcome == CancelResponse.OUTCOME_TOO_LATE
    assert (answer.task.state, answer.task.cancel_requested) == (Task.STATE_RUNNING, False)
    gate.open()
    rested = server.client.wait(task.id)
    assert rested.state == Task.STATE_SUCCEEDED
    assert repositories.git(repository, "show", f"{rested.worktree.branch}:made.slow") == "x"


def test_a_run_tells_what_it_did(server: ApiServer, task_list_id: str) -> None:
    overrides = taskgrove.run_config(agent="command", command="echo out; echo err >&2; exit 3")
    task = server.client.wait(server.client.enqueue(task_list_id, "x", overrides=overrides).id)
    (run,) = server.call("ListRuns", task_id=task.id).runs
    assert (run.task_id, run.number, run.state, run.is_retry) == (task.id, 1, Run.STATE_FAILED, False)
    assert (run.agent, run.prompt, run.exit_code) == ("command", "x", 3)
    assert (run.first_line, run.line_count) == (1, 3)
    assert Path(run.log_path).read_bytes().count(b"\n") == 3
    assert run.failure == task.failure
    assert run.start_time.ToNanoseconds() < run.finish_time.ToNanoseconds()
    assert not run.HasField("cost_usd")


def test_a_task_that_never_ran_has_no_runs(server: ApiServer, task_list_id: str, gate: Gate) -> None:
    server.enqueue_gated(task_list_id, gate)
    task = server.client.enqueue(task_list_id, "Queued")
    answer = server.call("ListRuns", task_id=task.id)
    assert (list(answer.runs), answer.next_page_token) == ([], "")
    server.client.cancel(task.id)
    gate.open()
