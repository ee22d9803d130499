"""Each RPC is refused for each of the reasons that its comment lists, with the code that it names."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

import taskgrove
from support import documented_errors, repositories, tasks_gates, tasks_slow, tasks_work, troubles
from support.api_calls import Api, refusal_of, request
from support.api_refusals import ASK, World, ask
from support.api_services import METHODS
from support.server import RunningServer
from support.tasks_feed import Collector

SERVICES = documented_errors.services()

#: What takes a file system that does not answer: test_slow_repositories.py, test_inquiries.py.
HANGING = {(method, "GIT_FAILED") for method in ("CreateTaskList", "ListTaskLists", "UpdateTask")}

#: Every documented error of a method's own.
OWN = [
    (method, code, reason)
    for service in SERVICES
    for method, errors in service.methods.items()
    for code, reason in errors
    if reason not in ("TOO_MANY_WATCHERS", "TOO_MANY_CALLS") and (method, reason) not in HANGING
]

#: What methods ask that look at a directory or a repository, each in a request that has them do so.
INQUIRING: dict[str, Callable[[Path], dict[str, Any]]] = {
    "CreateTaskList": lambda path: {"working_dir": str(path)},
    "ListTaskLists": lambda path: {"working_dir": str(path)},
    "UpdateTaskList": lambda _: {"worktree_settings": taskgrove.worktree_settings(base_branch="main")},
    "Enqueue": lambda _: {"subdirectory": "src"},
    "UpdateTask": lambda path: {"overrides": taskgrove.run_config(agent_path=str(path / "agent.md"))},
}

OFFLOADED = [
    method
    for service in SERVICES
    for method, errors in service.methods.items()
    if ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS") in (*errors, *service.common) and method not in INQUIRING
]

WATCHED = [
    method
    for service in SERVICES
    for method, errors in service.methods.items()
    if ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHERS") in errors
]

#: What a method is not refused for that reads no row that could make no sense.
READS_NOTHING = {"CreateTaskList", "LiftHold"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world").resolve()
    with RunningServer("--retry-pause", "0.1", "--allowed-roots", str(root)) as server, World(server, root) as made:
        yield made


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Api]:
    with Api(world.server.target) as connected:
        yield connected


def test_every_documented_reason_can_be_brought_about() -> None:
    assert {reason for _, _, reason in OWN} == set(ASK)
    assert {method for service in SERVICES for method in service.methods} == set(METHODS)
    for service in SERVICES:
        common = {reason for _, reason in service.common}
        assert {"TOKEN_INVALID", "SERVER_DRAINING", "STORE_UNAVAILABLE", "INTERNAL"} <= common


@pytest.mark.parametrize(("method", "code", "reason"), OWN)
def test_a_call_is_refused_as_its_comment_says(world: World, api: Api, method: str, code: str, reason: str) -> None:
    message = ask(world, method, reason)
    refusal = refusal_of(lambda: api.first_answers(message))
    assert (refusal.code.name, refusal.reason) == (code, reason), refusal.message


@pytest.mark.parametrize("method", WATCHED)
def test_a_stream_too_many_is_refused(method: str) -> None:
    with RunningServer("--max-watchers", "1") as server, server.client() as client, Api(server.target) as api:
        task = tasks_work.run(client, "true")
        with Collector(client):
            fields = {"task_id": task.id} if method != "WatchEvents" else {}
            refusal = refusal_of(lambda: api.call_by_name(method, **fields))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")


def test_a_call_too_many_is_refused(world: World, api: Api) -> None:
    """Git waits for a program that waits for a gate, in as many calls as there may be."""
    with tasks_gates.Gate(world.root / "clean") as gate, _Crowd(world) as crowd:
        path = repositories.make_repository(world.root / "slow")
        tasks_work.add_filter(path)
        task_list = world.client.create_task_list("Slow", working_dir=path)
        overrides = tasks_work.shell("echo changed > a.filtered; exit 1")
        task = tasks_work.rest(world.client, world.client.enqueue(task_list.id, "Slow", overrides=overrides).id)
        tasks_work.set_filter(path, clean=f"sh -c '{gate.pass_through}'")
        crowd.call(request("ListChangedFiles", task_id=task.id))
        gate.wait_for_arrivals(8)
        refused = {method: _until_refused(api, method, world.request(method)) for method in OFFLOADED}
        gate.open()
    assert set(refused.values()) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")}


def test_a_question_too_many_about_directories_is_refused(world: World, api: Api) -> None:
    """Git waits for the writer of a pipe that its configuration includes."""
    path = repositories.make_repository(world.root / "piped")
    with tasks_slow.Stalled(path), _Crowd(world) as crowd:
        crowd.call(request("CreateTaskList", title="Slow", working_dir=str(path)))
        refused = {
            method: _until_refused(api, method, world.request(method, **fields(world.project.path)))
            for method, fields in INQUIRING.items()
        }
        crowd.leave()
    assert set(refused.values()) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")}


class _Crowd:
    """Callers who make the same call, as many as the server takes on."""

    def __init__(self, world: World) -> None:
        self._apis = [Api(world.server.target), Api(world.server.target)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def call(self, message: Any) -> None:
        for api in self._apis * 32:
            thread = threading.Thread(target=_ignore, args=(api, message), daemon=True)
            self._threads.append(thread)
            thread.start()

    def leave(self) -> None:
        for api in self._apis:
            api.channel.close()

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(60)
        self.leave()


def _ignore(api: Api, message: Any) -> None:
    with contextlib.suppress(grpc.RpcError, ValueError):
        api.call(message)


def _until_refused(api: Api, method: str, message: Any) -> tuple[grpc.StatusCode, str | None]:
    def refusal() -> tuple[grpc.StatusCode, str | None] | None:
        with contextlib.suppress(pytest.fail.Exception):
            found = refusal_of(lambda: api.first_answers(message))
            return (found.code, found.reason) if found.reason == "TOO_MANY_CALLS" else None
        return None

    return tasks_gates.until(refusal, f"the refusal of {method}")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, object]]]:
    """A server whose tables are gone, and for each method a request that was right before."""
    root = tmp_path_factory.mktemp("broken").resolve()
    with RunningServer("--retry-pause", "0.1") as server:
        with World(server, root) as world:
            requests = {method: world.request(method) for method in METHODS}
        database = sqlite3.connect(server.data / "taskgrove.db", timeout=tasks_gates.PATIENCE)
        with database:
            for table in ("task", "task_list", "run", "worktree", "event", "request", "hold"):
                database.execute(f"ALTER TABLE {table} RENAME TO lost_{table}")
        database.close()
        yield world, requests


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"GetServerInfo"}))
def test_a_store_that_is_out_of_order_is_told_by_every_method(
    broken: tuple[World, dict[str, object]], method: str
) -> None:
    world, requests = broken
    with Api(world.server.target) as api:
        refusal = refusal_of(lambda: api.first_answers(requests[method]))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"), refusal.message
    assert refusal.retry_delay == 1


def test_the_server_tells_of_itself_while_its_store_is_out_of_order(broken: tuple[World, dict[str, object]]) -> None:
    world, _ = broken
    with world.server.client() as client:
        assert "no such table" in troubles.told(client)["store-reader"]


@pytest.fixture(scope="module")
def corrupt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, object]]]:
    """A server whose rows make no sense, and for each method a request that was right before."""
    root = tmp_path_factory.mktemp("corrupt").resolve()
    with RunningServer("--retry-pause", "0.1") as server:
        with World(server, root) as world:
            requests = {method: world.request(method) for method in METHODS}
        world.execute("UPDATE task SET subtasks = '{'")
        world.execute("UPDATE task_list SET defaults = '{'")
        world.execute("UPDATE event SET detail = '{'")
        world.execute("UPDATE run SET permission_denials = '{'")
        yield world, requests


@pytest.mark.parametrize("method", sorted(set(METHODS) - READS_NOTHING - {"GetServerInfo"}))
def test_an_error_of_the_servers_own_is_told_without_its_details(
    corrupt: tuple[World, dict[str, object]], method: str
) -> None:
    world, requests = corrupt
    message = requests[method]
    if method == "WatchEvents":
        message = world.request(method, after_sequence=0)
    with Api(world.server.target) as api:
        refusal = refusal_of(lambda: api.first_answers(message))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL"), refusal.message
    assert refusal.message == "The server met an error of its own: its log has the details."
