"""What happens around every call: admission before it, a proper status and a line of the log after it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_status import rpc_status

from taskgrove_server import guarding
from taskgrove_server.api import call_log, descriptions, error_table, request_bodies
from taskgrove_server.domain import errors
from taskgrove_server.journal.wakeups import Wakeups

log = logging.getLogger(__name__)

_SCHEME = "Bearer "

#: Answered to anybody: what a load balancer or a service manager asks.
OPEN_SERVICE = "/grpc.health.v1.Health/"

#: Bytes of metadata that are taken, counted as HTTP/2 does: a token, and what proxies and tracers add.
LARGEST_METADATA = 8 << 10

#: gRPC's options: what a little more brings is told why it is refused.
OPTIONS = (
    ("grpc.max_metadata_size", 8 * LARGEST_METADATA),
    ("grpc.absolute_max_metadata_size", 8 * LARGEST_METADATA),
)

#: Bytes that each entry counts besides its key and its value.
_ENTRY = 32

_METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in descriptions.SERVICE_FILES
    for service in file.services_by_name.values()
    for method in service.methods
}


#: Lets a call in, given its context.
_Admit = Callable[[Any], contextlib.AbstractContextManager[None]]


class Admission:
    """Decides whether a call is let in. `is_token` is asked of what calls over TCP bring."""

    def __init__(self, is_token: Callable[[str], bool], wakeups: Wakeups) -> None:
        self._is_token = is_token
        self._wakeups = wakeups
        self._open = 0
        self._quiet_since = time.monotonic()

    def quiet(self) -> float:
        """Returns for how many seconds there has been no call."""
        return 0.0 if self._open else time.monotonic() - self._quiet_since

    @contextlib.contextmanager
    def of(self, context: Any) -> Generator[None]:
        """Lets a call in for as long as it lasts. Raises RequestTooLarge, TokenInvalid or ServerDraining."""
        self._check(context)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._quiet_since = time.monotonic()

    def _check(self, context: Any) -> None:
        metadata = context.invocation_metadata() or ()
        if sum(_ENTRY + len(key) + len(value) for key, value in metadata) > LARGEST_METADATA:
            raise errors.RequestTooLarge("metadata", LARGEST_METADATA)
        # Whoever can reach the socket is whom its 0700 directory lets in.
        if not context.peer().startswith("unix:"):
            given = str(dict(metadata).get("authorization", ""))
            if not given.startswith(_SCHEME) or not self._is_token(given.removeprefix(_SCHEME)):
                raise errors.TokenInvalid
        if self._wakeups.draining:
            raise errors.ServerDraining


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Admits calls, tells of them, and turns what handlers raise into a status with details."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        #: By method, as all calls of one have the same handler.
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wraps the handler of a call."""
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                # Not kept: there is no end of names that nobody knows.
                return grpc.stream_stream_rpc_method_handler(self._stream(_unknown(path), path))
            wrapped = self._wrapped[path] = self._wrap(handler, path)
        return wrapped

    def _admission_to(self, path: str) -> _Admit:
        return _anybody if path.startswith(OPEN_SERVICE) else self._admission.of

    def _wrap(self, handler: Any, path: str) -> Any:
        read = request_bodies.reading(handler.request_deserializer)
        if handler.unary_unary is not None:
            return handler._replace(
                unary_unary=self._unary(handler.unary_unary, path),
                request_deserializer=read,
                response_serializer=_passing(handler.response_serializer),
            )
        if handler.unary_stream is not None:
            return handler._replace(
                unary_stream=self._stream(_accepting(handler.unary_stream), path),
                request_deserializer=read,
                response_serializer=_passing(handler.response_serializer),
            )
        stream = self._stream(_accepting_each(handler.stream_stream), path)
        return handler._replace(stream_stream=stream, request_deserializer=read)

    def _unary(self, call: Callable[[Any, Any], Awaitable[Any]], path: str) -> Callable[[Any, Any], Any]:
        admit = self._admission_to(path)
        tell = call_log.teller(_METHODS.get(path))

        async def answer(request: Any, context: Any) -> Any:
            try:
                with admit(context):
                    answered = await call(request_bodies.accepted(request), context)
            except asyncio.CancelledError:
                # Its caller has left; what must not be done by halves is done all the same.
                tell(request, None, context, "CANCELLED")
                raise
            except Exception as raised:  # noqa: BLE001 - becomes the call's status
                error = _refusal(raised, path)
                tell(request, None, context, error_table.outcome(error))
                await context.abort_with_status(rpc_status.to_status(error_table.to_status(error)))
            else:
                tell(request, answered, context, "OK")
                return answered

        return answer

    def _stream(
        self, call: Callable[[Any, Any], AsyncIterator[Any]], path: str
    ) -> Callable[[Any, Any], AsyncIterator[Any]]:
        admit = self._admission_to(path)

        # A cancelled call raises CancelledError through here, as it must: swallowed, it leaks (grpc/grpc#43360).
        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                with admit(context):
                    async for message in call(request, context):
                        yield message
            except Exception as raised:  # noqa: BLE001 - becomes the call's status
                error = _refusal(raised, path)
                await context.abort_with_status(rpc_status.to_status(error_table.to_status(error)))

        return answer


def _anybody(_: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def _unknown(path: str) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def refuse(_request: Any, _context: Any) -> AsyncIterator[Any]:
        raise errors.MethodUnknown(path)
        yield

    return refuse


def _accepting(call: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    return lambda request, context: call(request_bodies.accepted(request), context)


def _accepting_each(call: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    return lambda requests, context: call(request_bodies.each_accepted(requests), context)


def _passing(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Passes on what is encoded already."""

    def write(message: Any) -> bytes:
        return message if isinstance(message, bytes) else serialize(message)

    return write


def _refusal(error: Exception, path: str) -> Exception:
    """Returns what a caller is told of an error; says in the log what nobody else can mend."""
    if shortage := guarding.shortage_behind(error):
        log.warning("%s is put off: %s", path, error)
        return errors.MachineShort(guarding.told(shortage))
    if isinstance(error, errors.TaskgroveError):
        log.debug("%s is refused: %s", path, error)
    else:
        log.error("%s has failed", path, exc_info=error)
    return error
