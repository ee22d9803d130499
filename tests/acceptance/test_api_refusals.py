"""What gRPC's core would refuse with bare words is refused with a reason, and costs the server nothing."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support.api_calls import PATIENCE, Api, Refusal, refusal_of, request
from support.api_services import METHODS
from support.server import RunningServer
from taskgrove import errors

health_pb2: Any = importlib.import_module("grpc_health.v1.health_pb2")

MIB = 1 << 20

#: Of each kind of handler one.
KINDS = ("Enqueue", "GetTask", "WatchTask")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer(tcp=True) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Iterator[Api]:
    with Api(server.target, f"Bearer {(server.data / 'token').read_text().strip()}") as connected:
        yield connected


def call(api: Api, path: str, body: bytes, kind: str = "unary_unary", **options: Any) -> Any:
    method = getattr(api.channel, kind)(path)
    streams = kind.startswith("stream")
    answer = method(iter([body]) if streams else body, timeout=PATIENCE, metadata=api._metadata, **options)
    return list(answer) if kind.endswith("stream") else answer


def path_of(method: str) -> str:
    return f"/{METHODS[method].containing_service.full_name}/{method}"


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"])
@pytest.mark.parametrize(
    "path",
    [
        "/taskgrove.v1.TaskService/Nothing",
        "/taskgrove.v1.TaskService/getTask",
        "/taskgrove.v1.Nothing/GetTask",
        "/taskgrove.v2.TaskService/GetTask",
        "/grpc.health.v1.Health/Nothing",
        "/grpc.reflection.v1.ServerReflection/Nothing",
        "/x",
    ],
)
def test_a_method_that_there_is_not_is_refused_with_a_reason(api: Api, kind: str, path: str) -> None:
    refusal = refusal_of(lambda: call(api, path, b"\x0a\x01x", kind))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")
    assert refusal.metadata == {"method": path}


def test_what_there_is_is_not_told_without_the_token(server: RunningServer) -> None:
    with Api(server.target) as stranger:
        refusal = refusal_of(lambda: call(stranger, "/taskgrove.v1.TaskService/Nothing", b""))
    assert refusal.reason == "TOKEN_INVALID"


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("size", [2 * MIB + 1, 3 * MIB, 15 * MIB])
def test_a_request_over_the_limit_is_refused_with_a_reason(api: Api, method: str, size: int) -> None:
    refusal = refusal_of(lambda: api.send_bytes(method, bytes(size)))
    check_too_large(refusal, "message", 2 * MIB)


def check_too_large(refusal: Refusal, part: str, limit: int) -> None:
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
    assert refusal.metadata == {"part": part, "limit": str(limit)}
    assert str(limit) in refusal.message


@pytest.mark.parametrize("method", KINDS)
def test_a_request_of_just_the_limit_is_looked_at(api: Api, method: str) -> None:
    # An unknown field, which is passed over.
    body = b"\xfa\x7f" + varint(2 * MIB - 5) + bytes(2 * MIB - 5)
    assert len(body) == 2 * MIB
    assert refusal_of(lambda: api.send_bytes(method, body)).reason == "INVALID_FIELD"


def varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


@pytest.mark.parametrize("size", [9_000, 20_000, 60_000])
def test_metadata_over_the_limit_are_refused_with_a_reason(server: RunningServer, size: int) -> None:
    token = (server.data / "token").read_text().strip()
    for given in (f"Bearer {token}", "Bearer wrong"):
        with Api(server.target, given) as api:
            more = (*api._metadata, ("x-trace", "t" * size))
            ask = api.channel.unary_unary(path_of("GetTask"))
            check_too_large(
                refusal_of(lambda ask=ask, more=more: ask(b"", timeout=PATIENCE, metadata=more)),  # type: ignore[misc]
                "metadata",
                8192,
            )


def test_metadata_of_a_proxy_and_a_tracer_are_taken(api: Api) -> None:
    more = (*api._metadata, *((f"x-trace-{number}", "t" * 500) for number in range(10)))
    ask = api.channel.unary_unary(path_of("GetServerInfo"))
    assert ask(b"", timeout=PATIENCE, metadata=more)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_read(api: Api, compression: grpc.Compression) -> None:
    made = request("CreateTaskList", title="t" * 200).SerializeToString()
    answer = call(api, path_of("CreateTaskList"), made, compression=compression)
    assert b"t" * 200 in answer
    names = call(
        api,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"\x3a\x80\x01" + b"*" * 128,
        "stream_stream",
        compression=compression,
    )
    assert b"taskgrove.v1.TaskService" in names[0]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("method", KINDS)
def test_a_bomb_is_refused_before_it_is_large(
    server: RunningServer, api: Api, method: str, compression: grpc.Compression
) -> None:
    kind = "unary_stream" if METHODS[method].server_streaming else "unary_unary"
    call_it = lambda: call(api, path_of(method), bytes(48 * MIB), kind, compression=compression)  # noqa: E731
    before = resident(server)
    check_too_large(refusal_of(call_it), "message", 2 * MIB)
    # It would have taken all 48.
    assert resident(server) - before < 24 * MIB


def test_a_bomb_needs_no_token_and_harms_nobody(server: RunningServer) -> None:
    with Api(server.target) as stranger:
        before = resident(server)
        ask = stranger.channel.unary_unary(path_of("GetTask"))
        refusal = refusal_of(lambda: ask(bytes(48 * MIB), timeout=PATIENCE, compression=grpc.Compression.Gzip))
    assert refusal.reason == "TOKEN_INVALID"
    assert resident(server) - before < 24 * MIB


def resident(server: RunningServer) -> int:
    """Returns the most memory that a server ever had, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8b", b"\x1f\x8bgarbage", b"\x78\x9cgarbage", zlib.compress(b"\xff\xff"), zlib.compress(b"x" * 99)[:-3]],
)
@pytest.mark.parametrize("method", KINDS)
def test_what_only_looks_compressed_is_no_message(api: Api, method: str, body: bytes) -> None:
    refusal = refusal_of(lambda: api.send_bytes(method, body))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.violations) == ["request"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/grpc.health.v1.Health/Check", "unary_unary"),
        ("/grpc.health.v1.Health/List", "unary_unary"),
        ("/grpc.health.v1.Health/Watch", "unary_stream"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "stream_stream"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "stream_stream"),
    ],
)
def test_the_standard_services_refuse_what_is_no_message_as_the_others_do(
    server: RunningServer, api: Api, path: str, kind: str
) -> None:
    logged = server.log.stat().st_size
    refusal = refusal_of(lambda: call(api, path, b"\xff\xff", kind))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    check_too_large(refusal_of(lambda: call(api, path, bytes(3 * MIB), kind)), "message", 2 * MIB)
    assert server.log.stat().st_size == logged


def test_the_health_of_nothing_is_refused_with_a_reason(api: Api) -> None:
    message = health_pb2.HealthCheckRequest(service="taskgrove.v1.Nothing").SerializeToString()
    refusal = refusal_of(lambda: call(api, "/grpc.health.v1.Health/Check", message))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_UNKNOWN")
    assert refusal.metadata == {"service": "taskgrove.v1.Nothing"}


def test_the_client_says_what_is_wrong(server: RunningServer) -> None:
    with server.client() as client:
        with pytest.raises(taskgrove.RequestTooLarge, match="2097152"):
            client.create_task_list("x" * (3 * MIB))
        # What gRPC's core refuses says so too.
        with pytest.raises(taskgrove.TaskgroveError, match="larger than max") as refused:
            client.create_task_list("x" * (17 * MIB))
        assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_method_that_the_server_lacks_is_told_as_that(server: RunningServer, api: Api) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(api, "/taskgrove.v1.TaskService/Later", b"")
    assert isinstance(errors.from_rpc_error(caught.value, server.target), taskgrove.MethodUnknown)
    # An older server says no more than the code.
    assert errors.BY_CODE[grpc.StatusCode.UNIMPLEMENTED] is taskgrove.MethodUnknown
