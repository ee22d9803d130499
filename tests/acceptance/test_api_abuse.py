"""Clients that are out of their minds: others are served all the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

import taskgrove
from support import tasks_gates, tasks_work
from support.api_calls import Api, request
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.event_service_pb2_grpc import EventServiceStub
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub
from taskgrove.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from taskgrove_server.api.offloading import MOST

#: A connection that no other channel uses.
_ALONE = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer(tcp=True) as running:
        yield running


class Neighbour:
    """A client that does its work meanwhile; nothing of it may fail."""

    def __init__(self, server: RunningServer) -> None:
        self._client = server.client()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.rounds = 0
        self.error: Exception | None = None

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                task = tasks_work.run(self._client, "seq 1 100")
                assert len(list(self._client.lines(task.id))) == 101
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 - is raised by the test
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(60)
        self._client.close()
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


async def abandon(server: RunningServer, task_id: str, count: int) -> None:
    """Opens streams and calls in crowds, and leaves each before or after its first message."""
    metadata = (("authorization", f"Bearer {(server.data / 'token').read_text().strip()}"),)
    channels = [grpc.aio.insecure_channel(server.target, options=_ALONE) for _ in range(4)]
    stubs = [(TaskServiceStub(c), EventServiceStub(c), WorktreeServiceStub(c)) for c in channels]

    async def one(number: int) -> None:
        tasks, events, worktrees = stubs[number % len(stubs)]
        calls: list[Any] = [
            tasks.WatchTask(request("WatchTask", task_id=task_id), metadata=metadata),
            events.WatchEvents(request("WatchEvents", after_sequence=0), metadata=metadata),
            worktrees.DiffWorktree(request("DiffWorktree", task_id=task_id), metadata=metadata),
        ]
        call = calls.pop(number % 3)
        for other in calls:
            other.cancel()
        if number % 2:
            with contextlib.suppress(grpc.RpcError):
                await call.read()
        call.cancel()
        unary = tasks.GetTask(request("GetTask", task_id=task_id), metadata=metadata)
        unary.cancel()

    for start in range(0, count, 250):
        await asyncio.gather(*(one(number) for number in range(start, start + 250)))
    for channel in channels:
        await channel.close()


@pytest.mark.asyncio
async def test_thousands_of_abandoned_streams_starve_nobody(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client, tasks_gates.Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo here; {gate.pass_through}")
        task = client.enqueue(task_list.id, "Watched")
        gate.wait_for_arrivals()
        with Neighbour(server) as neighbour:
            await abandon(server, task.id, 3000)
            rounds = neighbour.rounds
            await asyncio.to_thread(
                tasks_gates.until, lambda: neighbour.rounds > rounds, "a further round of the neighbour"
            )
        gate.open()
        tasks_work.rest(client, task.id)
    assert "Traceback" not in server.log.read_text()


def test_no_watcher_that_has_left_keeps_its_place(tmp_path: Path) -> None:
    with (
        RunningServer("--max-watchers", "8", tcp=True) as server,
        tasks_gates.Gate(tmp_path / "gate") as gate,
        server.client() as client,
    ):
        task = client.enqueue(tasks_work.make_list(client, f"echo here; {gate.pass_through}").id, "Watched")
        gate.wait_for_arrivals()
        asyncio.run(abandon(server, task.id, 500))

        def watches_eight() -> bool:
            watches = [client.watch(task.id) for _ in range(8)]
            try:
                return all(next(iter(watch)) for watch in watches)
            except taskgrove.TooManyWatchers:
                return False
            finally:
                for watch in watches:
                    watch.close()

        tasks_gates.until(watches_eight, "all places to be free again")
        gate.open()
        tasks_work.rest(client, task.id)


def test_diffs_that_nobody_reads_keep_no_other_call_waiting(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client, contextlib.ExitStack() as stack:
        project = Project(client, tmp_path / "project")
        task = project.run("head -c 8000000 /dev/zero | tr '\\0' x | fold -w 8000 > long")
        token = (server.data / "token").read_text().strip()

        def open_diff() -> Iterator[Any]:
            channel = stack.enter_context(grpc.insecure_channel(server.target, _ALONE))
            call = WorktreeServiceStub(channel).DiffWorktree(
                request("DiffWorktree", task_id=task.id, max_patch_bytes=64 << 20),
                metadata=(("authorization", f"Bearer {token}"),),
            )
            stack.callback(call.cancel)
            return iter(call)

        stalled = [open_diff() for _ in range(MOST)]
        for diff in stalled:
            # The summary, the file, and something of the patch: from here on git waits for its reader.
            for _ in range(3):
                next(diff)
        with pytest.raises(taskgrove.TooManyCalls):
            client.diff_worktree(task.id)
        assert client.get_worktree_status(task.id).ahead == 1
        assert client.land(task.id).worktree.landing.target_branch == "main"
        stack.close()
        tasks_gates.until(lambda: _is_admitted(client, task.id), "the places of those who have left")
    assert "Traceback" not in server.log.read_text()


def _is_admitted(client: taskgrove.Client, task_id: str) -> bool:
    try:
        return client.diff_worktree(task_id).summary.files == 1
    except taskgrove.TooManyCalls:
        return False


def test_connections_that_say_nothing_or_nonsense_starve_nobody(server: RunningServer) -> None:
    host, _, port = server.target.rpartition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    openings = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        preface,
        preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x16\x03\x01" * 9,
    ]
    with Neighbour(server) as neighbour:
        held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(300)]
        for number, connection in enumerate(held):
            connection.sendall(openings[number % len(openings)])
        rounds = neighbour.rounds
        tasks_gates.until(lambda: neighbour.rounds > rounds + 1, "further rounds of the neighbour")
        for connection in held:
            connection.close()


def test_a_request_or_metadata_beyond_all_limits_is_refused(server: RunningServer) -> None:
    token = (server.data / "token").read_text().strip()
    with Api(server.target, f"Bearer {token}") as api:
        for method in ("Enqueue", "GetTask", "WatchTask"):
            with pytest.raises(grpc.RpcError) as caught:
                api.send_bytes(method, b"x" * (3 << 20))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with Api(server.target, f"Bearer {'t' * 40_000}") as api, pytest.raises(grpc.RpcError) as refused:
        api.call(request("GetServerInfo"))
    assert refused.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    with server.client() as client:
        assert client.get_server_info().slots
