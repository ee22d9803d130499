"""Health checks and reflection, which programs ask that know nothing of the service."""

from __future__ import annotations

import importlib
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, message_factory

from support import api_server
from support.api_calls import PATIENCE, refusal_of
from support.api_server import ApiServer
from support.api_services import METHODS, SERVICES
from support.server import RunningServer
from taskgrove.v1.error_reason_pb2 import ErrorReason
from taskgrove_server.api import descriptions

# These packages bring no complete types.
health_pb2: Any = importlib.import_module("grpc_health.v1.health_pb2")
health_pb2_grpc: Any = importlib.import_module("grpc_health.v1.health_pb2_grpc")
reflection_pb2: Any = importlib.import_module("grpc_reflection.v1alpha.reflection_pb2")

NAMES = ["", *(service.full_name for service in SERVICES)]
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve() as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_healthy(server: ApiServer, name: str) -> None:
    health = health_pb2_grpc.HealthStub(server.api.channel)
    message = health_pb2.HealthCheckRequest(service=name)
    assert health.Check(message, timeout=PATIENCE).status == SERVING
    watch = health.Watch(message, timeout=PATIENCE)
    assert next(watch).status == SERVING
    watch.cancel()


def test_the_health_of_an_unknown_service_is_unknown(server: ApiServer) -> None:
    health = health_pb2_grpc.HealthStub(server.api.channel)
    message = health_pb2.HealthCheckRequest(service="taskgrove.v1.Nothing")
    refusal = refusal_of(lambda: health.Check(message, timeout=PATIENCE))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    watch = health.Watch(message, timeout=PATIENCE)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_a_server_that_stops_says_so_and_is_not_held_up_by_who_watches() -> None:
    with RunningServer() as stopping:
        channel = grpc.insecure_channel(stopping.target)
        watches = [
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
            for name in NAMES
        ]
        assert [next(watch).status for watch in watches] == [SERVING] * len(NAMES)
        assert stopping.terminate() == 0
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError):
                next(watch)
        channel.close()


def reflect(server: ApiServer, version: str, **question: Any) -> Any:
    ask = server.api.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return next(ask(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=PATIENCE))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_all_services(server: ApiServer, version: str) -> None:
    listed = {service.name for service in reflect(server, version, list_services="").list_services_response.service}
    assert listed == {*NAMES[1:], "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_every_method_and_message(server: ApiServer, version: str) -> None:
    described: set[str] = set()
    for service in NAMES[1:]:
        answer = reflect(server, version, file_containing_symbol=service)
        for encoded in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
            described |= {method.name for service in file.service for method in service.method}
    assert described == set(METHODS)
    run_config = reflect(server, version, file_containing_symbol="taskgrove.v1.RunConfig")
    assert run_config.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_says_that_it_does_not_know(server: ApiServer, version: str) -> None:
    answer = reflect(server, version, file_containing_symbol="taskgrove.v1.Nothing")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_conversation_with_reflection_may_have_many_questions(server: ApiServer) -> None:
    ask = server.api.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers = ask(iter(questions.get, None), timeout=PATIENCE)
    for _ in range(3):
        questions.put(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert next(answers).list_services_response.service
    questions.put(None)
    assert list(answers) == []


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    "symbol",
    [
        "taskgrove.v1.ErrorReason",
        "taskgrove.v1.ERROR_REASON_TASK_NOT_FOUND",
        "google.rpc.Status",
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "google.rpc.RetryInfo",
        "google.protobuf.Any",
        "grpc.health.v1.Health.List",
        "grpc.health.v1.HealthListResponse",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
)
def test_reflection_describes_all_that_a_call_may_carry(server: ApiServer, version: str, symbol: str) -> None:
    files = described(reflect(server, version, file_containing_symbol=symbol))
    short = symbol.rpartition(".")[2]
    assert any(short in str(file) for file in files.values())
    # All that a client needs to read it is there, each file by its name as well.
    needed = {name for file in files.values() for name in file.dependency}
    while missing := needed - files.keys():
        for name in missing:
            files |= described(reflect(server, version, file_by_filename=name))
        needed |= {name for file in files.values() for name in file.dependency}


def described(answer: Any) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    found = answer.file_descriptor_response.file_descriptor_proto
    assert found, answer.error_response
    files = [descriptor_pb2.FileDescriptorProto.FromString(encoded) for encoded in found]
    return {file.name: file for file in files}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_serves_the_file_of_the_reasons_by_its_name(server: ApiServer, version: str) -> None:
    files = described(reflect(server, version, file_by_filename="taskgrove/v1/error_reason.proto"))
    (reasons,) = files["taskgrove/v1/error_reason.proto"].enum_type
    assert {value.name for value in reasons.value} == set(ErrorReason.keys())


def test_health_lists_all_services(server: ApiServer) -> None:
    response: Any = message_factory.GetMessageClass(
        descriptions.POOL.FindMessageTypeByName("grpc.health.v1.HealthListResponse")
    )
    ask = server.api.channel.unary_unary(
        "/grpc.health.v1.Health/List", response_deserializer=response.FromString, request_serializer=bytes
    )
    answer = ask(b"", timeout=PATIENCE)
    assert {name: entry.status for name, entry in answer.statuses.items()} == dict.fromkeys(NAMES, SERVING)
