"""Calls that are made again after a lost answer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from support import api_server, repositories
from support.api_calls import Refusal, request
from support.api_server import NOBODY, ApiServer, Gate
from taskgrove.v1.run_config_pb2 import RunConfig


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "4") as running:
        yield running


@pytest.fixture
def task_list_id(server: ApiServer) -> str:
    return server.client.create_task_list("Mine", defaults=api_server.AT_ONCE).id


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def new_id() -> str:
    return str(uuid.uuid4())


def assert_reused(refusal: Refusal, request_id: str) -> None:
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert refusal.metadata == {"request_id": request_id}
    assert request_id in refusal.message


def test_an_enqueue_made_again_returns_its_task_as_it_is_now(server: ApiServer, task_list_id: str) -> None:
    again = request("Enqueue", task_list_id=task_list_id, title="Once", request_id=new_id())
    task = server.client.wait(server.api.call(again).task.id)
    with server.unchanged():
        assert server.api.call(again).task == task
    assert len(list(server.client.list_tasks(task_list_id=task_list_id))) == 1


def test_without_a_request_id_every_enqueue_counts(server: ApiServer, task_list_id: str) -> None:
    again = request("Enqueue", task_list_id=task_list_id, title="Twice")
    tasks = {server.api.call(again).task.id for _ in range(2)}
    assert len(tasks) == 2
    # No later test is to see them change.
    for task_id in tasks:
        server.client.wait(task_id)


def test_enqueues_with_one_id_at_the_same_moment_add_one_task(server: ApiServer, task_list_id: str) -> None:
    again = request("Enqueue", task_list_id=task_list_id, title="Once", request_id=new_id())
    together = threading.Barrier(8)

    def enqueue(_: int) -> str:
        together.wait(10)
        return str(server.api.call(again).task.id)

    with ThreadPoolExecutor(8) as pool:
        (task_id,) = set(pool.map(enqueue, range(8)))
    assert [task.id for task in server.client.list_tasks(task_list_id=task_list_id)] == [task_id]
    server.client.wait(task_id)


def test_an_enqueue_made_again_is_answered_even_when_its_list_is_gone_or_changed(
    server: ApiServer, task_list_id: str
) -> None:
    again = request("Enqueue", task_list_id=task_list_id, title="Once", request_id=new_id())
    task = server.client.wait(server.api.call(again).task.id)
    # Now the same body would be refused: the list names no command any more.
    server.client.update_task_list(task_list_id, defaults=RunConfig(agent="command"))
    assert server.api.call(again).task == task
    server.client.delete_task_list(task_list_id)
    with server.unchanged():
        assert server.api.call(again).task == task


def test_a_list_made_again_is_the_list_that_was_made(server: ApiServer, tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "a")
    again = request("CreateTaskList", title="Once", working_dir=str(repository), request_id=new_id())
    created = server.api.call(again).task_list
    updated = server.client.update_task_list(created.id, title="Renamed")
    repository.rename(tmp_path / "elsewhere")
    with server.unchanged():
        assert server.api.call(again).task_list == updated


def test_a_continue_made_again_does_not_continue_twice(server: ApiServer, task_list_id: str) -> None:
    task = server.resting_task(task_list_id)
    again = request("Continue", task_id=task.id, prompt="More", request_id=new_id())
    assert server.api.call(again).task.id == task.id
    rested = server.client.wait(task.id)
    assert rested.run_count == 2
    with server.unchanged():
        assert server.api.call(again).task == rested


def test_a_cancel_made_again_does_not_cancel_what_was_continued_since(
    server: ApiServer, task_list_id: str, gate: Gate
) -> None:
    task = server.enqueue_gated(task_list_id, gate)
    again = request("Cancel", task_id=task.id, request_id=new_id())
    server.api.call(again)
    assert server.client.wait(task.id).state == task.STATE_CANCELLED
    server.client.continue_task(task.id, "Go on")
    gate.wait_until_reached()
    with server.unchanged():
        repeated = server.api.call(again).task
    assert (repeated.state, repeated.cancel_requested) == (task.STATE_RUNNING, False)
    gate.open()
    assert server.client.wait(task.id).state == task.STATE_SUCCEEDED


def test_an_id_is_good_for_one_body_of_one_method(server: ApiServer, task_list_id: str) -> None:
    task = server.resting_task(task_list_id)
    first: list[Any] = [
        request("CreateTaskList", title="x", request_id=new_id()),
        request("Enqueue", task_list_id=task_list_id, title="x", request_id=new_id()),
        request("Cancel", task_id=task.id, request_id=new_id()),
        request("Continue", task_id=task.id, prompt="x", request_id=new_id()),
    ]
    for used in first:
        server.api.call(used)
    for queued in server.client.list_tasks(task_list_id=task_list_id):
        server.client.wait(queued.id)
    for used in first:
        request_id = used.request_id
        others: list[Any] = [
            request("CreateTaskList", title="other", request_id=request_id),
            request("CreateTaskList", title="x", defaults=RunConfig(max_turns=1), request_id=request_id),
            request("Enqueue", task_list_id=task_list_id, title="other", request_id=request_id),
            request("Enqueue", task_list_id=task_list_id, title="x", description="other", request_id=request_id),
            request("Enqueue", task_list_id=NOBODY, title="x", request_id=request_id),
            request("Cancel", task_id=NOBODY, request_id=request_id),
            request("Continue", task_id=task.id, prompt="other", request_id=request_id),
        ]
        for other in others:
            assert_reused(server.refuse(other), request_id)


def test_a_refused_call_does_not_use_up_its_id(server: ApiServer, task_list_id: str, gate: Gate) -> None:
    request_id = new_id()
    task = server.enqueue_gated(task_list_id, gate)
    go_on = request("Continue", task_id=task.id, prompt="x", request_id=request_id)
    assert server.refuse(go_on).reason == "TASK_ACTIVE"
    assert server.refuse(request("Cancel", task_id=NOBODY, request_id=request_id)).reason == "TASK_NOT_FOUND"
    lost = request("Enqueue", task_list_id=NOBODY, title="x", request_id=request_id)
    assert server.refuse(lost).reason == "TASK_LIST_NOT_FOUND"
    nowhere = request("CreateTaskList", title="x", working_dir="/nowhere", request_id=request_id)
    assert server.refuse(nowhere).reason == "DIRECTORY_NOT_FOUND"
    gate.open()
    server.client.wait(task.id)
    server.client.update_task_list(task_list_id, title="Still there")
    assert server.api.call(go_on).task.state == task.STATE_QUEUED
    gate.wait_until_reached()
    gate.open()
    assert server.client.wait(task.id).run_count == 2


def test_ids_are_known_to_the_next_server() -> None:
    with api_server.serve() as first:
        project = first.client.create_task_list("Mine", defaults=api_server.AT_ONCE)
        again = request("Enqueue", task_list_id=project.id, title="Once", request_id=new_id())
        task_id = first.api.call(again).task.id
        first.client.wait(task_id)
        assert first.running.terminate() == 0
        first.running.start()
        with first.reconnected() as second:
            assert second.call(again).task.id == task_id
            assert_reused(
                second.refusal(request("Cancel", task_id=task_id, request_id=again.request_id)), again.request_id
            )
