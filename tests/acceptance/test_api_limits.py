"""Every limit that the protos state, at its edge: the last value that is taken and the first that is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from support import api_server
from support.api_calls import request
from support.api_server import ApiServer
from taskgrove.v1.run_config_pb2 import RunConfig

DAY = 86400


@dataclass(frozen=True, slots=True)
class Edge:
    """The outermost values of a field that are taken, and the next ones, which are refused, with where."""

    taken: list[Any]
    refused: list[tuple[Any, str]]


def schema(size: int) -> str:
    return '{"title": "' + "s" * (size - 13) + '"}'


CONFIG: dict[str, Edge] = {
    "agent": Edge(["claude", "command"], [("codex", "agent")]),
    "model": Edge(["m", "m" * 200, "é" * 200], [("m" * 201, "model")]),
    "system_prompt": Edge(
        ["s" * 131072, "é" * 65536, "line\r\n\tnext\n"],
        [("s" * 131073, "system_prompt"), ("é" * 65537, "system_prompt")],
    ),
    "agent_path": Edge(["a" * 4096, "/" + "d/" * 2047 + "f", "..a/b"], [("a" * 4097, "agent_path")]),
    "output_schema": Edge(["{}", schema(65536)], [(schema(65537), "output_schema")]),
    "permission_mode": Edge(
        ["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"], [("ask", "permission_mode")]
    ),
    "allowed_tools": Edge(
        [["Bash(git *)"] * 100, ["é" * 500]],
        [(["Read"] * 101, "allowed_tools"), (["é" * 501], "allowed_tools[0]")],
    ),
    "max_turns": Edge([1, 2**31 - 1], [(0, "max_turns")]),
    "run_timeout": Edge(
        [{"seconds": 1}, {"seconds": 1, "nanos": 1000}, {"seconds": 7 * DAY}],
        [({"nanos": 999_999_999}, "run_timeout"), ({"seconds": 7 * DAY, "nanos": 1}, "run_timeout")],
    ),
    "stall_timeout": Edge(
        [{"seconds": 1}, {"seconds": 7 * DAY}],
        [({"nanos": 999_999_999}, "stall_timeout"), ({"seconds": 7 * DAY, "nanos": 1}, "stall_timeout")],
    ),
    "linger": Edge(
        [{"seconds": 1}, {"seconds": 3600}],
        [({"nanos": 999_999_999}, "linger"), ({"seconds": 3600, "nanos": 1}, "linger")],
    ),
    "log_limit": Edge([1 << 20, 1 << 40], [((1 << 20) - 1, "log_limit"), ((1 << 40) + 1, "log_limit")]),
    "setting_sources": Edge(
        [["user"], ["local", "project", "user"], ["none"]],
        [(["user"] * 2, "setting_sources"), (["user", "none"], "setting_sources")],
    ),
    "command": Edge(
        [
            {"shell": "#" * 65536},
            {"shell": "a\nb\x1b"},
            {"argv": {"values": ["program"]}},
            {"argv": {"values": ["program", *["x"] * 999]}},
            {"argv": {"values": ["é" * 16384, "é" * 16384]}},
            {"argv": {"values": ["program", "", "a\nb"]}},
        ],
        [
            ({"shell": "#" * 65537}, "command.shell"),
            ({"argv": {"values": []}}, "command.argv"),
            ({"argv": {"values": ["program", *["x"] * 1000]}}, "command.argv"),
            ({"argv": {"values": ["é" * 16384, "é" * 16384, "x"]}}, "command.argv"),
        ],
    ),
}

#: What the fields of requests that create something take; all of them are read back.
FIELDS: dict[str, dict[str, Edge]] = {
    "CreateTaskList": {"title": Edge(["t", "é" * 200], [("é" * 201, "title")])},
    "UpdateTaskList": {"title": Edge(["t", "é" * 200], [("é" * 201, "title")])},
    "Enqueue": {
        "title": Edge(["t", "é" * 500], [("é" * 501, "title")]),
        "description": Edge(
            ["", "d" * 131072, "é" * 65536, "a\r\n\tb\n"],
            [("d" * 131073, "description"), ("é" * 65537, "description")],
        ),
        "subtasks": Edge(
            [[], [{"title": "s", "completed": True}] * 100, [{"title": "é" * 500}]],
            [([{"title": "s"}] * 101, "subtasks"), ([{"title": "é" * 501}], "subtasks[0].title")],
        ),
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve_busy() as busy:
        yield busy


@pytest.fixture(scope="module")
def task_list_id(server: ApiServer) -> str:
    return server.client.create_task_list("Mine", defaults=api_server.AT_ONCE).id


@pytest.fixture
def needed(task_list_id: str) -> dict[str, dict[str, Any]]:
    return {
        "CreateTaskList": {"title": "x"},
        "UpdateTaskList": {"task_list_id": task_list_id, "title": "x"},
        "Enqueue": {"task_list_id": task_list_id, "title": "x"},
    }


def made(answer: Any) -> Any:
    """Returns the list or the task of an answer."""
    return answer.task if hasattr(answer, "task") else answer.task_list


def read_again(server: ApiServer, thing: Any) -> Any:
    if hasattr(thing, "task_list_id"):
        return server.call("GetTask", task_id=thing.id).task
    return server.call("GetTaskList", task_list_id=thing.id).task_list


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [
        pytest.param(method, field, value, id=f"{method}-{field}-{number}")
        for method, edges in FIELDS.items()
        for field, edge in edges.items()
        for number, value in enumerate(edge.taken)
    ],
)
def test_the_longest_value_is_taken_and_kept(
    server: ApiServer, needed: dict[str, dict[str, Any]], method: str, field: str, value: Any
) -> None:
    sent = request(method, **{**needed[method], field: value})
    thing = made(server.api.call(sent))
    assert getattr(thing, field) == getattr(sent, field)
    assert read_again(server, thing) == thing


@pytest.mark.parametrize(
    ("method", "field", "value", "where"),
    [
        pytest.param(method, field, value, where, id=f"{method}-{field}-{number}")
        for method, edges in FIELDS.items()
        for field, edge in edges.items()
        for number, (value, where) in enumerate(edge.refused)
    ],
)
def test_one_more_is_refused(
    server: ApiServer, needed: dict[str, dict[str, Any]], method: str, field: str, value: Any, where: str
) -> None:
    refusal = server.refuse(request(method, **{**needed[method], field: value}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == [where]


def test_the_table_of_settings_is_complete() -> None:
    assert set(CONFIG) == set(RunConfig.DESCRIPTOR.fields_by_name)


CONFIG_FIELDS = [("CreateTaskList", "defaults"), ("UpdateTaskList", "defaults"), ("Enqueue", "overrides")]


@pytest.mark.parametrize(("method", "field"), CONFIG_FIELDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{number}")
        for name, edge in CONFIG.items()
        for number, value in enumerate(edge.taken)
    ],
)
def test_the_outermost_value_of_a_setting_is_taken_and_kept(
    server: ApiServer, needed: dict[str, dict[str, Any]], method: str, field: str, name: str, value: Any
) -> None:
    config = RunConfig(**{name: value})
    if config.agent == "command":
        config.command.shell = "true"
    thing = made(server.api.call(request(method, **{**needed[method], field: config})))
    assert getattr(thing, field) == config
    assert read_again(server, thing) == thing


@pytest.mark.parametrize(("method", "field"), CONFIG_FIELDS)
@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        pytest.param(name, value, where, id=f"{name}-{number}")
        for name, edge in CONFIG.items()
        for number, (value, where) in enumerate(edge.refused)
    ],
)
def test_one_more_of_a_setting_is_refused(
    server: ApiServer, needed: dict[str, dict[str, Any]], method: str, field: str, name: str, value: Any, where: str
) -> None:
    refusal = server.refuse(request(method, **{**needed[method], field: {name: value}}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == [f"{field}.{where}"]


def test_a_setting_that_is_present_but_empty_counts_as_unset(server: ApiServer, task_list_id: str) -> None:
    empty = {
        "agent": "",
        "model": "",
        "system_prompt": "",
        "agent_path": "",
        "output_schema": "",
        "permission_mode": "",
    }
    task = server.call("Enqueue", task_list_id=task_list_id, title="x", overrides=empty).task
    assert task.overrides == RunConfig()


@pytest.mark.parametrize("size", [1, 64])
def test_a_request_id_has_up_to_64_characters(server: ApiServer, task_list_id: str, size: int) -> None:
    request_id = ("-_.:azAZ09" * 7)[:size]
    sent = request("Enqueue", task_list_id=task_list_id, title="x", request_id=request_id)
    assert server.api.call(sent).task.id == server.api.call(sent).task.id


@pytest.mark.parametrize("prompt", ["p", "p" * 131072, "é" * 65536, " x\r\n\ty "])
def test_a_prompt_of_up_to_128_kib_is_taken(server: ApiServer, task_list_id: str, prompt: str) -> None:
    task = server.client.enqueue(task_list_id, "Never runs")
    server.client.cancel(task.id)
    # The prompt is right, and so the next check is reached.
    assert server.refuse(request("Continue", task_id=task.id, prompt=prompt)).reason == "NO_PREVIOUS_RUN"


@pytest.mark.parametrize("prompt", ["p" * 131073, "é" * 65537])
def test_a_longer_prompt_is_refused(server: ApiServer, task_list_id: str, prompt: str) -> None:
    task = server.client.enqueue(task_list_id, "Never runs")
    refusal = server.refuse(request("Continue", task_id=task.id, prompt=prompt))
    assert (refusal.reason, list(refusal.violations)) == ("INVALID_FIELD", ["prompt"])


@pytest.mark.parametrize("interval", [{"nanos": 999_999_999}, {"seconds": 300, "nanos": 1}])
def test_heartbeats_come_between_every_second_and_every_five_minutes(
    server: ApiServer, task_list_id: str, interval: dict[str, int]
) -> None:
    task = server.client.enqueue(task_list_id, "Never runs")
    server.client.cancel(task.id)
    refusal = server.refuse(request("WatchTask", task_id=task.id, heartbeat_interval=interval))
    assert (refusal.reason, list(refusal.violations)) == ("INVALID_FIELD", ["heartbeat_interval"])
    for taken in ({"seconds": 1}, {"seconds": 300}):
        events = server.call("WatchTask", task_id=task.id, heartbeat_interval=taken)
        assert events[-1].HasField("rested")
