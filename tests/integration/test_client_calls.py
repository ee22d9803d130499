"""The methods of both clients that ask once, over real gRPC."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support import client_drivers, scripted_service
from support.scripted_service import Abort, ScriptedServer
from taskgrove import errors
from taskgrove.v1 import error_reason_pb2
from taskgrove.v1 import task_list_service_pb2 as task_lists_pb2
from taskgrove.v1 import task_service_pb2 as tasks_pb2

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.parametrize("driver", [client_drivers.Blocking, client_drivers.Asyncio]),
]

Driver = type[client_drivers.Driver]

TASK = scripted_service.task()
TASK_LIST = taskgrove.TaskList(id="lllllllllllt", title="L")
UNAVAILABLE = Abort(grpc.StatusCode.UNAVAILABLE, "Gone.")
CONFIG = taskgrove.run_config(model="m")

#: Each method: how it is called, the RPC that is made with which request, the answer, and what is returned.
CALLS: list[tuple[str, list[Any], dict[str, Any], str, Any, Any, Any]] = [
    (
        "create_task_list",
        ["L"],
        {"working_dir": Path("/repo"), "defaults": CONFIG, "request_id": "r"},
        "CreateTaskList",
        task_lists_pb2.CreateTaskListRequest(title="L", working_dir="/repo", defaults=CONFIG, request_id="r"),
        task_lists_pb2.CreateTaskListResponse(task_list=TASK_LIST),
        TASK_LIST,
    ),
    (
        "get_task_list",
        ["l"],
        {},
        "GetTaskList",
        task_lists_pb2.GetTaskListRequest(task_list_id="l"),
        task_lists_pb2.GetTaskListResponse(task_list=TASK_LIST),
        TASK_LIST,
    ),
    (
        "update_task_list",
        ["l"],
        {"title": "L", "request_id": "r"},
        "UpdateTaskList",
        task_lists_pb2.UpdateTaskListRequest(task_list_id="l", title="L", request_id="r"),
        task_lists_pb2.UpdateTaskListResponse(task_list=TASK_LIST),
        TASK_LIST,
    ),
    (
        "delete_task_list",
        ["l"],
        {"request_id": "r"},
        "DeleteTaskList",
        task_lists_pb2.DeleteTaskListRequest(task_list_id="l", request_id="r"),
        task_lists_pb2.DeleteTaskListResponse(),
        None,
    ),
    (
        "enqueue",
        ["l", "T"],
        {"description": "d", "subtasks": ["s"], "overrides": CONFIG, "request_id": "r"},
        "Enqueue",
        tasks_pb2.EnqueueRequest(
            task_list_id="l",
            title="T",
            description="d",
            subtasks=[taskgrove.Subtask(title="s")],
            overrides=CONFIG,
            request_id="r",
        ),
        tasks_pb2.EnqueueResponse(task=TASK),
        TASK,
    ),
    (
        "continue_task",
        ["t", "Go on."],
        {"request_id": "r"},
        "Continue",
        tasks_pb2.ContinueRequest(task_id="t", prompt="Go on.", request_id="r"),
        tasks_pb2.ContinueResponse(task=TASK),
        TASK,
    ),
    (
        "cancel",
        ["t"],
        {"request_id": "r"},
        "Cancel",
        tasks_pb2.CancelRequest(task_id="t", request_id="r"),
        tasks_pb2.CancelResponse(task=TASK, outcome=tasks_pb2.CancelResponse.OUTCOME_STOPPING),
        tasks_pb2.CancelResponse(task=TASK, outcome=tasks_pb2.CancelResponse.OUTCOME_STOPPING),
    ),
    (
        "get_task",
        ["t"],
        {},
        "GetTask",
        tasks_pb2.GetTaskRequest(task_id="t"),
        tasks_pb2.GetTaskResponse(task=TASK),
        TASK,
    ),
]


@pytest.mark.parametrize(
    ("method", "arguments", "options", "rpc", "request_", "answer", "result"), CALLS, ids=[call[0] for call in CALLS]
)
async def test_a_method_makes_its_call_with_the_token(
    driver: Driver,
    method: str,
    arguments: list[Any],
    options: dict[str, Any],
    rpc: str,
    request_: Any,
    answer: Any,
    result: Any,
) -> None:
    async with ScriptedServer() as server, driver(server.target, token="secret") as client:
        server.service.answer(rpc, answer)
        assert await client.call(method, *arguments, **options) == result
    (call,) = server.service.calls
    assert (call.method, call.request) == (rpc, request_)
    assert call.metadata["authorization"] == "Bearer secret"


async def test_lists_are_read_page_by_page(driver: Driver) -> None:
    lists = [taskgrove.TaskList(id=name) for name in "abc"]
    tasks = [taskgrove.Task(id=name) for name in "abc"]
    runs = [taskgrove.Run(id=name) for name in "abc"]
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer(
            "ListTaskLists",
            task_lists_pb2.ListTaskListsResponse(task_lists=lists[:2], next_page_token="p"),
            task_lists_pb2.ListTaskListsResponse(next_page_token="q"),
            task_lists_pb2.ListTaskListsResponse(task_lists=lists[2:]),
        )
        server.service.answer(
            "ListTasks",
            tasks_pb2.ListTasksResponse(tasks=tasks[:1], next_page_token="p"),
            tasks_pb2.ListTasksResponse(tasks=tasks[1:]),
        )
        server.service.answer(
            "ListRuns",
            tasks_pb2.ListRunsResponse(runs=runs[:1], next_page_token="p"),
            tasks_pb2.ListRunsResponse(runs=runs[1:]),
        )
        states = [taskgrove.Task.STATE_FAILED, taskgrove.Task.STATE_QUEUED]
        assert await client.collect("list_task_lists", working_dir="/r", page_size=2) == lists
        assert await client.collect("list_tasks", task_list_id="l", states=states) == tasks
        assert await client.collect("list_runs", "t", page_size=1) == runs
    assert [call.request for call in server.service.calls] == [
        task_lists_pb2.ListTaskListsRequest(working_dir="/r", page_size=2),
        task_lists_pb2.ListTaskListsRequest(working_dir="/r", page_size=2, page_token="p"),
        task_lists_pb2.ListTaskListsRequest(working_dir="/r", page_size=2, page_token="q"),
        tasks_pb2.ListTasksRequest(task_list_id="l", states=states),
        tasks_pb2.ListTasksRequest(task_list_id="l", states=states, page_token="p"),
        tasks_pb2.ListRunsRequest(task_id="t", page_size=1),
        tasks_pb2.ListRunsRequest(task_id="t", page_size=1, page_token="p"),
    ]


@pytest.mark.parametrize("reason", sorted(errors.BY_REASON))
async def test_every_reason_arrives_as_its_error(driver: Driver, reason: str) -> None:
    # The code is one that falls back to no class, so that only the reason can decide.
    refusal = Abort(
        grpc.StatusCode.DATA_LOSS, f"About {reason}.", reason=reason, metadata={"a": "b"}, violations=(("f", "bad"),)
    )
    assert f"ERROR_REASON_{reason}" in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("GetTask", refusal)
        with pytest.raises(errors.BY_REASON[reason], match=f"About {reason}.") as raised:
            await client.call("get_task", "t")
    error = raised.value
    assert (error.reason, error.code, error.metadata) == (reason, grpc.StatusCode.DATA_LOSS, {"a": "b"})
    assert isinstance(error.__cause__, grpc.RpcError)
    if isinstance(error, taskgrove.InvalidRequest):
        assert error.violations == [("f", "bad")]


async def test_a_call_that_is_safe_to_repeat_is_repeated_with_the_same_request_id(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("Enqueue", UNAVAILABLE, UNAVAILABLE, tasks_pb2.EnqueueResponse(task=TASK))
        assert await client.call("enqueue", "l", "T") == TASK
    first, second, third = server.service.requests("Enqueue")
    assert first == second == third
    assert first.request_id


async def test_where_a_task_starts_reaches_the_server(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("Enqueue", *[tasks_pb2.EnqueueResponse(task=TASK)] * 2)
        await client.call("enqueue", "l", "T", subdirectory="packages/app")
        await client.call("enqueue", "l", "T")
    assert [request.subdirectory for request in server.service.requests("Enqueue")] == ["packages/app", ""]


async def test_a_deletion_is_repeated_with_the_same_request_id(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("DeleteTaskList", UNAVAILABLE, task_lists_pb2.DeleteTaskListResponse())
        await client.call("delete_task_list", "l")
    first, second = server.service.requests("DeleteTaskList")
    assert first == second
    assert first.request_id


async def test_a_server_that_is_not_there_is_unavailable(driver: Driver, tmp_path: Path) -> None:
    target = f"unix:{tmp_path}/none.sock"
    async with driver(target) as client:
        with pytest.raises(taskgrove.ServerUnavailable, match=f"No Taskgrove server can be reached at {target};"):
            await client.call("get_task", "t")


async def test_a_call_ends_after_the_timeout(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target, timeout=0.2) as client:
        server.service.answer("GetTask", scripted_service.hang)
        with pytest.raises(taskgrove.DeadlineExceeded):
            await client.call("get_task", "t")


async def test_a_call_that_somebody_cancels_on_the_way_is_an_error_and_no_cancellation(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("GetTask", Abort(grpc.StatusCode.CANCELLED, "By a proxy."))
        with pytest.raises(taskgrove.TaskgroveError, match=r"By a proxy\."):
            await client.call("get_task", "t")


async def test_a_closed_client_says_so(driver: Driver) -> None:
    async with ScriptedServer() as server:
        async with driver(server.target) as client:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            await client.call("get_task", "t")
        with pytest.raises(RuntimeError, match="closed"):
            await client.collect("watch", "t")


async def test_closing_a_client_ends_a_call_that_is_under_way(driver: Driver) -> None:
    arrived = asyncio.Event()

    async def pause() -> None:
        arrived.set()
        await scripted_service.hang()

    async with ScriptedServer() as server:
        server.service.answer("GetTask", pause)
        async with driver(server.target) as client:
            calling = asyncio.create_task(client.call("get_task", "t"))
            await arrived.wait()
        async with asyncio.timeout(10):
            with pytest.raises((RuntimeError, taskgrove.TaskgroveError), match=r"[Cc]losed"):
                await calling


async def test_closing_a_client_ends_a_watch_that_is_under_way(driver: Driver) -> None:
    half_way = asyncio.Event()

    async def pause() -> None:
        half_way.set()
        await scripted_service.hang()

    async with ScriptedServer() as server:
        server.service.watches.append([scripted_service.opened(TASK), pause])
        async with driver(server.target) as client:
            watching_task = asyncio.create_task(client.collect("watch", "t"))
            await half_way.wait()
        async with asyncio.timeout(10):
            with pytest.raises(RuntimeError, match="closed"):
                await watching_task
            await server.service.abandoned.wait()
