"""What every RPC says to requests that cannot be right, and that it changes nothing then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from support import api_calls, api_server
from support.api_bad_fields import BAD_CONFIGS, BAD_FIELDS, COMPLETE, CONFIG_FIELDS, ID
from support.api_calls import request
from support.api_server import NOBODY, ApiServer
from support.api_services import METHODS, SERVICES
from taskgrove.v1.run_config_pb2 import RunConfig


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve_busy() as busy:
        yield busy


@pytest.fixture(scope="module")
def task_list_id(server: ApiServer) -> str:
    return server.client.create_task_list("Mine").id


@pytest.fixture(scope="module")
def task_id(server: ApiServer, task_list_id: str) -> str:
    return server.client.enqueue(task_list_id, "Mine").id


Complete = Callable[..., Any]


@pytest.fixture
def complete(task_list_id: str, task_id: str) -> Complete:
    """Makes requests that are right but for the fields given."""
    known = {"task_list_id": task_list_id, "task_id": task_id}

    def make(method: str, **fields: Any) -> Any:
        filled = {name: known[name] if value == ID else value for name, value in COMPLETE[method].items()}
        return request(method, **{**filled, **fields})

    return make


def test_the_tables_name_every_field_of_every_request() -> None:
    assert {method: set(fields) for method, fields in BAD_FIELDS.items()} == {
        name: set(method.input_type.fields_by_name) for name, method in METHODS.items()
    }
    assert set(BAD_CONFIGS) == set(RunConfig.DESCRIPTOR.fields_by_name)
    assert len(METHODS) == sum(len(service.methods) for service in SERVICES) == 30


@pytest.mark.parametrize(
    ("method", "field", "value", "where"),
    [
        pytest.param(method, field, value, where, id=f"{method}-{field}-{str(value)[:20]!r}")
        for method, fields in BAD_FIELDS.items()
        for field, cases in fields.items()
        for value, where in cases
    ],
)
def test_a_field_that_cannot_be_right_is_refused_by_its_name(
    server: ApiServer, complete: Complete, method: str, field: str, value: Any, where: str
) -> None:
    refusal = server.refuse(complete(method, **{field: value}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.metadata == {"field": where}
    assert list(refusal.violations) == [where]
    assert refusal.message == f"{where}: {refusal.violations[where]}"


@pytest.mark.parametrize(("method", "field"), CONFIG_FIELDS)
@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        pytest.param(name, value, where, id=f"{name}-{str(value)[:20]!r}")
        for name, cases in BAD_CONFIGS.items()
        for value, where in cases
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_wherever_it_stands(
    server: ApiServer, complete: Complete, method: str, field: str, name: str, value: Any, where: str
) -> None:
    refusal = server.refuse(complete(method, **{field: {name: value}}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == [f"{field}.{where}"]
    assert refusal.metadata == {"field": f"{field}.{where}"}


def test_all_that_is_wrong_is_said_at_once(server: ApiServer) -> None:
    wrong = request(
        "Enqueue",
        task_list_id="?",
        description="\0",
        subtasks=[{"title": ""}],
        overrides={"max_turns": 0, "agent": "?"},
        request_id="?",
    )
    refusal = server.refuse(wrong)
    expected = ["task_list_id", "title", "description", "subtasks[0].title", "overrides.agent", "overrides.max_turns"]
    assert list(refusal.violations) == [*expected, "request_id"]
    assert refusal.metadata == {"field": "task_list_id"}


def test_a_refusal_of_very_many_fields_arrives_whole(server: ApiServer, complete: Complete) -> None:
    fields = {"subtasks": [{"title": ""}] * 100, "overrides": {"allowed_tools": ["\0"] * 100}}
    refusal = server.refuse(complete("Enqueue", **fields))
    assert refusal.reason == "INVALID_FIELD"
    assert list(refusal.violations)[:2] == ["subtasks[0].title", "subtasks[1].title"]


@pytest.mark.parametrize("name", ["e", "é", "文"])
def test_a_refusal_that_quotes_a_very_long_path_arrives_whole(server: ApiServer, name: str) -> None:
    path = "/nowhere" + f"/{name}" * ((4096 - 8) // (1 + len(name.encode())))
    refusal = server.refuse(request("CreateTaskList", title="x", working_dir=path))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DIRECTORY_NOT_FOUND")
    assert path.startswith(refusal.metadata["path"])


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.input_type.fields])
@pytest.mark.parametrize("fault", ["text that is no UTF-8", "junk", "cut"])
def test_bytes_that_are_no_message_are_refused_like_any_bad_input(server: ApiServer, method: str, fault: str) -> None:
    text = next(field for field in METHODS[method].input_type.fields if field.type == field.TYPE_STRING)
    tag = text.number << 3 | 2
    body = {"text that is no UTF-8": bytes([tag, 2, 0xFF, 0xFE]), "junk": b"\xff\xff\xff", "cut": bytes([tag, 9])}[
        fault
    ]
    logged = server.running.log.stat().st_size
    with server.unchanged(), pytest.raises(grpc.RpcError) as caught:
        server.api.send_bytes(method, body)
    refusal = api_calls.read(caught.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == ["request"]
    assert server.running.log.stat().st_size == logged  # no trace for what a caller did wrong


@pytest.mark.parametrize(
    ("method", "field", "reason"),
    [
        ("GetTaskList", "task_list_id", "TASK_LIST_NOT_FOUND"),
        ("UpdateTaskList", "task_list_id", "TASK_LIST_NOT_FOUND"),
        ("DeleteTaskList", "task_list_id", "TASK_LIST_NOT_FOUND"),
        ("Enqueue", "task_list_id", "TASK_LIST_NOT_FOUND"),
        ("Continue", "task_id", "TASK_NOT_FOUND"),
        ("Cancel", "task_id", "TASK_NOT_FOUND"),
        ("WatchTask", "task_id", "TASK_NOT_FOUND"),
        ("GetTask", "task_id", "TASK_NOT_FOUND"),
        ("ListRuns", "task_id", "TASK_NOT_FOUND"),
    ],
)
def test_an_id_that_nothing_has_is_not_found(
    server: ApiServer, complete: Complete, task_list_id: str, task_id: str, method: str, field: str, reason: str
) -> None:
    other_kind = {"task_list_id": task_id, "task_id": task_list_id}[field]
    for unknown in (NOBODY, other_kind):
        refusal = server.refuse(complete(method, **{field: unknown}))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, reason)
        assert refusal.metadata == {field: unknown}
        assert unknown in refusal.message


def test_a_list_that_does_not_exist_has_no_tasks(server: ApiServer) -> None:
    with server.unchanged():
        assert not server.call("ListTasks", task_list_id=NOBODY).tasks


def test_an_update_of_nothing_is_refused(server: ApiServer, task_list_id: str) -> None:
    refusal = server.refuse(request("UpdateTaskList", task_list_id=task_list_id))
    assert refusal.reason == "INVALID_FIELD"
    assert list(refusal.violations) == ["title"]


def test_the_command_agent_needs_a_command_here_or_in_the_list(server: ApiServer) -> None:
    wanting = server.client.create_task_list("Wanting", defaults=RunConfig(agent="command"))
    refusal = server.refuse(request("Enqueue", task_list_id=wanting.id, title="x"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == ["overrides.command"]
    own = {"command": {"shell": "true"}}
    assert server.call("Enqueue", task_list_id=wanting.id, title="x", overrides=own).task.id


def test_a_method_that_does_not_exist_is_unimplemented(server: ApiServer) -> None:
    call = server.api.channel.unary_unary("/taskgrove.v1.TaskService/Nothing")
    refusal = api_calls.refusal_of(lambda: call(b"", timeout=5))
    assert refusal.code == grpc.StatusCode.UNIMPLEMENTED
