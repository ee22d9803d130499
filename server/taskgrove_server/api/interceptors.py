"""What happens around every call: admission before it, a proper status after it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from taskgrove_server import guarding
from taskgrove_server.api import error_table
from taskgrove_server.domain import errors
from taskgrove_server.journal.wakeups import Wakeups

log = logging.getLogger(__name__)

_SCHEME = "Bearer "

#: Answered to anybody: what a load balancer or a service manager asks.
OPEN_SERVICE = "/grpc.health.v1.Health/"


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
        """Lets a call in for as long as it lasts. Raises TokenInvalid or ServerDraining."""
        self._check(context)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._quiet_since = time.monotonic()

    def _check(self, context: Any) -> None:
        # Whoever can reach the socket is whom its 0700 directory lets in.
        if not context.peer().startswith("unix:"):
            given = str(dict(context.invocation_metadata() or ()).get("authorization", ""))
            if not given.startswith(_SCHEME) or not self._is_token(given.removeprefix(_SCHEME)):
                raise errors.TokenInvalid
        if self._wakeups.draining:
            raise errors.ServerDraining


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Admits calls, and turns what handlers raise into a status with details."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        #: By method, as all calls of one have the same handler.
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wraps the handler of a call."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith(OPEN_SERVICE):
                return handler
            wrapped = self._wrapped[method] = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: Any, method: str) -> Any:
        if handler.unary_unary is not None:
            read = _forgiving(handler.request_deserializer)
            return handler._replace(unary_unary=self._unary(handler.unary_unary, method), request_deserializer=read)
        if handler.unary_stream is not None:
            return handler._replace(
                unary_stream=self._stream(handler.unary_stream, method),
                request_deserializer=_forgiving(handler.request_deserializer),
                response_serializer=_passing(handler.response_serializer),
            )
        return handler._replace(stream_stream=self._stream(handler.stream_stream, method))

    def _unary(self, call: Callable[[Any, Any], Awaitable[Any]], method: str) -> Callable[[Any, Any], Any]:
        async def answer(request: Any, context: Any) -> Any:
            try:
                with self._admission.of(context):
                    return await call(_well_formed(request), context)
            except Exception as error:  # noqa: BLE001 - becomes the call's status
                await _abort(context, error, method)

        return answer

    def _stream(
        self, call: Callable[[Any, Any], AsyncIterator[Any]], method: str
    ) -> Callable[[Any, Any], AsyncIterator[Any]]:
        # A cancelled call raises CancelledError through here, as it must: swallowed, it leaks (grpc/grpc#43360).
        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                with self._admission.of(context):
                    async for message in call(_well_formed(request), context):
                        yield message
            except Exception as error:  # noqa: BLE001 - becomes the call's status
                await _abort(context, error, method)

        return answer


def _forgiving(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Hands on what is no message as the error that it is: gRPC itself would answer UNKNOWN, before admission."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return error

    return read


def _passing(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Passes on what is encoded already."""

    def write(message: Any) -> bytes:
        return message if isinstance(message, bytes) else serialize(message)

    return write


def _well_formed(request: Any) -> Any:
    if isinstance(request, DecodeError):
        what = "is not a message of this method's type; its strings have to be UTF-8"
        raise errors.InvalidRequest(("request", what)) from request
    return request


async def _abort(context: Any, error: Exception, method: str) -> None:
    if shortage := guarding.shortage_behind(error):
        log.warning("%s is put off: %s", method, error)
        error = errors.MachineShort(guarding.told(shortage))
    elif isinstance(error, errors.TaskgroveError):
        log.debug("%s is refused: %s", method, error)
    else:
        log.error("%s has failed", method, exc_info=error)
    await context.abort_with_status(rpc_status.to_status(error_table.to_status(error)))
