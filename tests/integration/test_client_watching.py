"""Both clients against a server that is cut off, restarted, drained and gone, over real gRPC."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import grpc
import pytest

import taskgrove
from support import client_drivers, scripted_service
from support.scripted_service import Abort, Log, ScriptedServer, Step, Wire
from taskgrove import connection
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import GetTaskResponse, WatchTaskRequest

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.parametrize("driver", [client_drivers.Blocking, client_drivers.Asyncio]),
]

Driver = type[client_drivers.Driver]

START = WatchTaskRequest()
UNAVAILABLE = Abort(grpc.StatusCode.UNAVAILABLE, "Gone.")
LOG = Log([f'{{"n": {number}}}\n'.encode() for number in range(1, 11)], batch=3)


def shown_lines(events: list[Any]) -> list[bytes]:
    received = [event for event in events if isinstance(event, taskgrove.Line)]
    assert [line.number for line in received] == list(range(received[0].number, received[0].number + len(received)))
    return [line.data for line in received]


async def test_a_watch_shows_the_task_its_lines_and_its_changes_until_it_rests(driver: Driver) -> None:
    queued, running = scripted_service.task(Task.STATE_QUEUED), scripted_service.task(Task.STATE_RUNNING)
    done = scripted_service.task(Task.STATE_SUCCEEDED, last_line=2, result="Done.")
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches.append(
            [
                scripted_service.opened(queued),
                scripted_service.changed(running),
                scripted_service.lines(1, b"one\n", run_number=1),
                scripted_service.heartbeat(1),
                scripted_service.lines(2, b"two\n", run_number=2),
                scripted_service.rested(done),
            ]
        )
        events = await client.collect("watch", "k3v9m2qxw7ab")
    assert events == [
        taskgrove.Opened(queued, 1, 0),
        taskgrove.TaskChanged(running),
        taskgrove.Line(1, 1, b"one\n"),
        taskgrove.Line(2, 2, b"two\n"),
        taskgrove.Rested(done),
    ]
    (request,) = server.service.requests("WatchTask")
    assert (request.task_id, request.after_line) == ("k3v9m2qxw7ab", 0)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(UNAVAILABLE, id="UNAVAILABLE"),
        pytest.param(Abort(grpc.StatusCode.CANCELLED), id="CANCELLED"),
        pytest.param(Abort(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"), id="RST_STREAM"),
        pytest.param(None, id="OK"),
    ],
)
async def test_a_stream_that_ends_in_the_middle_is_resumed_after_the_last_whole_line(
    driver: Driver, end: Abort | None
) -> None:
    long = b"x" * 3000 + b"\n"
    log = Log([*LOG.content, long, b"last\n"], batch=3, longest=1000, piece=1000)
    messages = list(log(START))
    # opened, four batches, then the pieces of the long line.
    in_lines, in_fragments = messages[:3], messages[:7]
    assert in_fragments[-1].fragment.offset == 1000
    ending = [] if end is None else [end]

    def then_fragments(request: WatchTaskRequest) -> list[Step]:
        return [*list(log(request))[:5], *ending]

    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches += [[*in_lines, *ending], then_fragments, log]
        events = await client.collect("watch", "t")
    assert shown_lines(events) == log.content
    assert sum(isinstance(event, taskgrove.Opened) for event in events) == 1
    assert events[-1] == taskgrove.Rested(log.result)
    assert [request.after_line for request in server.service.requests("WatchTask")] == [0, 6, 10]


async def test_no_line_is_lost_or_repeated_when_connections_are_cut_at_any_byte(driver: Driver) -> None:
    chance = random.Random(5)
    content = [chance.randbytes(chance.choice([20, 300, 5000])).replace(b"\n", b"") + b"\n" for _ in range(400)]
    content[200:200] = [b"long" * 500_000 + b"\n"]
    log = Log(content, batch=20, piece=100_000)
    async with ScriptedServer() as server, Wire(server.target) as wire, driver(wire.target) as client:
        wire.limits += [chance.randrange(2_500_000) for _ in range(3)] + [chance.randrange(600_000) for _ in range(9)]
        server.service.watches += [log] * 20
        async with asyncio.timeout(60):
            events = await client.collect("watch", "t")
    assert shown_lines(events) == content
    assert wire.cuts >= 5


async def test_a_watch_survives_a_restart_of_the_server(driver: Driver) -> None:
    half_way = asyncio.Event()

    async def pause() -> None:
        half_way.set()
        await scripted_service.hang()

    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches += [[*list(LOG(START))[:3], pause], LOG]
        watching_task = asyncio.create_task(client.collect("watch", "t"))
        await half_way.wait()
        await server.stop()
        await server.start()
        async with asyncio.timeout(20):
            events = await watching_task
    assert shown_lines(events) == LOG.content


async def test_a_watch_waits_for_a_server_that_is_not_there_yet(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches.append(LOG)
        await server.stop()
        watching_task = asyncio.create_task(client.collect("watch", "t"))
        await asyncio.sleep(0.3)  # time for attempts to fail; the test holds without it
        await server.start()
        async with asyncio.timeout(20):
            events = await watching_task
    assert shown_lines(events) == LOG.content


async def test_a_watch_comes_back_no_sooner_than_the_server_asks(driver: Driver) -> None:
    draining = Abort(grpc.StatusCode.UNAVAILABLE, reason="SERVER_DRAINING", retry_delay=0.7)
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches += [[draining], LOG]
        began = time.monotonic()
        events = await client.collect("watch", "t")
    assert shown_lines(events) == LOG.content
    assert time.monotonic() - began > 0.7


async def test_a_watch_of_a_server_that_is_gone_for_good_ends(driver: Driver) -> None:
    half_way = asyncio.Event()

    async def pause() -> None:
        half_way.set()
        await scripted_service.hang()

    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches.append([*list(LOG(START))[:3], UNAVAILABLE])
        server.service.watches.append(lambda request: [next(LOG(request)), pause])
        watching_task = asyncio.create_task(client.collect("watch", "t", reconnect_timeout=0.5))
        await half_way.wait()
        began = time.monotonic()
        await server.stop()
        with pytest.raises(taskgrove.ServerUnavailable, match=r"for 0\.5 s.* after line 6 ") as raised:
            await watching_task
    assert time.monotonic() - began >= 0.5
    assert isinstance(raised.value.__cause__, grpc.RpcError)


async def test_a_connection_that_is_lost_without_a_word_is_found_out(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A hundredth of the real times.
    hurried = [(name, int(value) // 100 if "time" in name else value) for name, value in connection.CHANNEL_OPTIONS]
    assert dict(hurried)["grpc.http2.ping_timeout_ms"] == 150
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", hurried)
    async with ScriptedServer() as server, Wire(server.target) as wire, driver(wire.target) as client:
        server.service.watches += [[*list(LOG(START))[:3], wire.freeze, scripted_service.hang], LOG]
        async with asyncio.timeout(30):
            events = await client.collect("watch", "t")
    assert shown_lines(events) == LOG.content


async def test_a_line_of_twenty_megabytes_arrives_whole(driver: Driver) -> None:
    long = random.Random(1).randbytes(20_000_000).replace(b"\n", b"") + b"\n"
    log = Log([b"before\n", long, b"after\n"])
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches.append(log)
        events = await client.collect("watch", "t")
    assert shown_lines(events) == log.content


async def test_a_watch_that_the_service_refuses_fails_at_once(driver: Driver) -> None:
    beyond = Abort(
        grpc.StatusCode.OUT_OF_RANGE,
        reason="LINE_OUT_OF_RANGE",
        metadata={"after_line": "9", "last_line": "4"},
    )
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches.append([beyond])
        with pytest.raises(taskgrove.LineOutOfRange) as raised:
            await client.collect("watch", "t", after_line=9)
    assert raised.value.metadata == {"after_line": "9", "last_line": "4"}
    assert isinstance(raised.value.__cause__, grpc.RpcError)


async def test_a_gap_in_the_lines_is_a_protocol_error_and_ends_the_stream(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        running = scripted_service.task()
        server.service.watches.append(
            [scripted_service.opened(running), scripted_service.lines(2, b"b\n"), scripted_service.hang]
        )
        with pytest.raises(taskgrove.ProtocolError, match="sent line 2 after line 0"):
            await client.collect("watch", "t")
        async with asyncio.timeout(10):
            await server.service.abandoned.wait()


async def test_lines_are_the_lines_alone(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.watches += [LOG]
        received = await client.collect("lines", "t", after_line=4)
    assert [line.json() for line in received] == [{"n": number} for number in range(5, 11)]


async def test_wait_returns_the_task_that_rests_without_asking_for_the_lines_before(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target) as client:
        server.service.answer("GetTask", GetTaskResponse(task=scripted_service.task(last_line=8)))
        server.service.watches += [[UNAVAILABLE], LOG]
        assert await client.call("wait", "t") == LOG.result
    assert [request.after_line for request in server.service.requests("WatchTask")] == [8, 8]


async def test_every_attempt_of_a_watch_carries_the_token(driver: Driver) -> None:
    async with ScriptedServer() as server, driver(server.target, token="secret") as client:
        server.service.watches += [[UNAVAILABLE], LOG]
        await client.collect("watch", "t")
    assert [call.metadata["authorization"] for call in server.service.calls] == ["Bearer secret"] * 2
