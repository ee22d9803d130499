"""Calls of the API with raw stubs, and all that a refusal says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message

from support import api_services
from support.api_services import METHODS

# These packages bring no types.
error_details_pb2: Any = importlib.import_module("google.rpc.error_details_pb2")
rpc_status: Any = importlib.import_module("grpc_status.rpc_status")

#: Seconds that any call may take.
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refused call says. `reason` is None when it carries no ErrorInfo of the service."""

    code: grpc.StatusCode
    message: str
    reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    #: What is wrong with each field that the BadRequest names.
    violations: dict[str, str] = field(default_factory=dict[str, str])
    #: Seconds, from the RetryInfo.
    retry_delay: float | None = None


def request(method: str, **fields: Any) -> Any:
    """Returns a request of the method with this name."""
    return message_factory.GetMessageClass(METHODS[method].input_type)(**fields)


def refusal_of(call: Callable[[], object]) -> Refusal:
    """Makes a call that is to be refused, and returns what it was told; fails the test when it is not refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return read(caught.value)


def read(error: grpc.RpcError) -> Refusal:
    """Returns what an error says."""
    status = rpc_status.from_call(error)
    refusal = Refusal(error.code(), error.details() or "")
    if status is None:
        return refusal
    details: dict[str, Any] = {}
    for packed in status.details:
        kind = packed.type_url.rpartition(".")[2]
        details[kind] = getattr(error_details_pb2, kind).FromString(packed.value)
    info = details["ErrorInfo"]
    assert info.domain == "taskgrove.dev"
    violations = details["BadRequest"].field_violations if "BadRequest" in details else ()
    delay = details["RetryInfo"].retry_delay.ToNanoseconds() / 1e9 if "RetryInfo" in details else None
    return Refusal(
        refusal.code,
        refusal.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations={violation.field: violation.description for violation in violations},
        retry_delay=delay,
    )


class Api:
    """All services over a channel with gRPC's defaults, without what the client library adds."""

    def __init__(self, target: str, authorization: str | None = None) -> None:
        #: Untyped, for calls that are no message's.
        self.channel: Any = grpc.insecure_channel(target)
        self._stubs = api_services.stubs(self.channel)
        self._metadata = (("authorization", authorization),) if authorization is not None else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def call(self, message: Message) -> Any:
        """Calls the method that takes the message; of a stream, returns all that it sends."""
        name = type(message).__name__.removesuffix("Request")
        answer = self._method(name)(message, timeout=PATIENCE, metadata=self._metadata)
        return list(answer) if METHODS[name].server_streaming else answer

    def begin(self, message: Message) -> Any:
        """Begins a call that does not stream, and returns it."""
        name = type(message).__name__.removesuffix("Request")
        return self._method(name).future(message, timeout=PATIENCE, metadata=self._metadata)

    def call_by_name(self, method: str, **fields: Any) -> Any:
        """Calls a method with these fields."""
        return self.call(request(method, **fields))

    def first_answers(self, message: Any) -> None:
        """As a call, but of a stream that has no end takes the first messages only."""
        name = type(message).__name__.removesuffix("Request")
        answer = self._method(name)(message, timeout=PATIENCE, metadata=self._metadata)
        if METHODS[name].server_streaming:
            for _ in zip(range(3), answer, strict=False):
                pass
            answer.cancel()

    def first_answer(self, message: Message) -> Any:
        """As a call, but of a stream returns the first message, and leaves the rest."""
        name = type(message).__name__.removesuffix("Request")
        answer = self._method(name)(message, timeout=PATIENCE, metadata=self._metadata)
        if not METHODS[name].server_streaming:
            return answer
        try:
            return next(answer)
        finally:
            answer.cancel()

    def _method(self, name: str) -> Any:
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    def refusal(self, message: Message) -> Refusal:
        """Calls the method that takes the message, which is to be refused."""
        return refusal_of(lambda: self.call(message))

    def send_bytes(self, method: str, body: bytes) -> Any:
        """Calls a method with a body that may be no message."""
        descriptor = METHODS[method]
        path = f"/{descriptor.containing_service.full_name}/{method}"
        if descriptor.server_streaming:
            return list(self.channel.unary_stream(path)(body, timeout=PATIENCE, metadata=self._metadata))
        return self.channel.unary_unary(path)(body, timeout=PATIENCE, metadata=self._metadata)

    def first_of_bytes(self, method: str, body: bytes) -> Any:
        """As send_bytes, but of a stream returns the first message, and leaves the rest."""
        descriptor = METHODS[method]
        if not descriptor.server_streaming:
            return self.send_bytes(method, body)
        path = f"/{descriptor.containing_service.full_name}/{method}"
        answer = self.channel.unary_stream(path)(body, timeout=PATIENCE, metadata=self._metadata)
        try:
            return next(answer)
        finally:
            answer.cancel()

    def pages(self, message: Any) -> Iterator[Any]:
        """Yields the pages of a list, from the one that the message asks for."""
        while True:
            page = self.call(message)
            yield page
            if not page.next_page_token:
                return
            message.page_token = page.next_page_token
