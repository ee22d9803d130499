"""Who is let in: tokens over TCP, and the modes of what lies on disk."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from support import api_server
from support.api_calls import PATIENCE, Api, refusal_of, request
from support.api_server import NOBODY, Gate
from support.api_services import METHODS, SERVICES
from support.server import RunningServer

# These packages bring no complete types.
health_pb2: Any = importlib.import_module("grpc_health.v1.health_pb2")
health_pb2_grpc: Any = importlib.import_module("grpc_health.v1.health_pb2_grpc")


@pytest.fixture(scope="module")
def tcp() -> Iterator[RunningServer]:
    with RunningServer(tcp=True) as running:
        yield running


@pytest.fixture(scope="module")
def token(tcp: RunningServer) -> str:
    return (tcp.data / "token").read_text(encoding="ascii").strip()


def any_request(method: str) -> Any:
    fields = METHODS[method].input_type.fields_by_name
    more: dict[str, Any] = {name: "x" for name in ("title", "prompt", "hold_id") if name in fields}
    more |= {name: 1 for name in ("number",) if name in fields}
    ids = {name: NOBODY for name in ("task_id", "task_list_id") if name in fields}
    return request(method, **ids, **more)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "bare", "no scheme", "longer", "cut"])
def test_over_tcp_a_call_without_the_token_is_refused(
    tcp: RunningServer, token: str, method: str, authorization: str | None
) -> None:
    near = {"no scheme": token, "longer": f"Bearer {token}x", "cut": f"Bearer {token[:-1]}", "bare": f"Basic {token}"}
    with Api(tcp.target, near.get(authorization or "", authorization)) as api:
        refusal = api.refusal(any_request(method))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    assert token not in refusal.message


@pytest.mark.parametrize("method", METHODS)
def test_over_tcp_a_call_with_the_token_is_let_in(tcp: RunningServer, token: str, method: str) -> None:
    with Api(tcp.target, f"Bearer {token}") as api:
        try:
            assert api.first_answer(any_request(method)) is not None
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND  # noqa: PT017 - both outcomes are right


def test_a_malformed_call_without_the_token_learns_nothing_of_itself(tcp: RunningServer) -> None:
    with Api(tcp.target) as api:
        assert refusal_of(lambda: api.send_bytes("GetTask", b"\xff")).reason == "TOKEN_INVALID"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_needs_the_token_too(tcp: RunningServer, token: str, version: str) -> None:
    with Api(tcp.target) as api:
        ask = api.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        refusal = refusal_of(lambda: list(ask(iter([b"\x3a\x00"]), timeout=PATIENCE)))
        assert refusal.reason == "TOKEN_INVALID"
        metadata = (("authorization", f"Bearer {token}"),)
        (answer,) = ask(iter([b"\x3a\x00"]), timeout=PATIENCE, metadata=metadata)
        assert b"taskgrove.v1.TaskService" in answer


def test_health_is_open_to_all(tcp: RunningServer) -> None:
    with Api(tcp.target) as api:
        health = health_pb2_grpc.HealthStub(api.channel)
        for name in ("", *(service.full_name for service in SERVICES)):
            message = health_pb2.HealthCheckRequest(service=name)
            assert health.Check(message, timeout=PATIENCE).status == health_pb2.HealthCheckResponse.SERVING
            assert next(health.Watch(message, timeout=PATIENCE)).status == health_pb2.HealthCheckResponse.SERVING


def test_the_token_stays_the_same_and_may_be_written_by_a_person(token: str) -> None:
    assert len(token) >= 32
    with RunningServer(tcp=True) as running:
        made = (running.data / "token").read_text(encoding="ascii")
        assert made.strip() != token
        running.terminate()
        running.start()
        assert (running.data / "token").read_text(encoding="ascii") == made
        running.terminate()
        (running.data / "token").write_text("p" * 32, encoding="ascii")
        running.start()
        with Api(running.target, "Bearer " + "p" * 32) as api:
            assert not api.call(request("ListTasks")).tasks


def test_the_token_is_not_in_the_servers_log(tcp: RunningServer, token: str) -> None:
    with Api(tcp.target, f"Bearer {token}") as api:
        api.call(request("ListTasks"))
    assert token not in tcp.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_nothing_in_the_data_directory_is_open_to_others(tmp_path: Path, umask: int) -> None:
    earlier = os.umask(umask)
    try:
        serving = api_server.serve()
        server = serving.__enter__()
    finally:
        os.umask(earlier)
    with contextlib.ExitStack() as stack:
        stack.push(serving)
        gate = Gate(tmp_path)
        project = server.client.create_task_list("Mine")
        server.resting_task(project.id)
        server.enqueue_gated(project.id, gate)
        data = server.running.data
        tops = [data, *(path for path in data.iterdir() if path.is_dir())]
        assert {path.name: mode(path) for path in tops} == {path.name: 0o700 for path in tops}
        files = {path.name: mode(path) for path in data.iterdir() if not path.is_dir()}
        assert files == dict.fromkeys(files, 0o600)
        assert {"token", "lock", "taskgrove.db", "taskgrove.db-wal", "taskgroved.sock"} <= set(files)
        logs = [*(data / "logs").iterdir()]
        assert [mode(path) for path in logs] == [0o600, 0o600]
        (run,) = (data / "runs").iterdir()
        assert mode(run) == 0o700
        gate.open()


def test_a_database_that_was_opened_to_others_is_closed() -> None:
    with RunningServer() as server:
        server.terminate()
        (server.data / "taskgrove.db").chmod(0o644)
        server.start()
        assert mode(server.data / "taskgrove.db") == 0o600


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
