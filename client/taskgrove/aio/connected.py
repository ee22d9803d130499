"""A connection to one server, and how calls are made over it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc import aio

from taskgrove import connection, errors, requests

Request = TypeVar("Request")
Response = TypeVar("Response")
PagedRequest = TypeVar("PagedRequest", bound=requests.Paged)
PageResponse = TypeVar("PageResponse", bound=requests.Page)


class Connected:
    """One connection, of the event loop that it was made in; see AsyncClient."""

    def __init__(
        self,
        target: str | None = None,
        *,
        token: str | None = None,
        tls: connection.Tls | bool | None = None,
        timeout: float = 30.0,
        work_timeout: float = 600.0,
    ) -> None:
        resolved = connection.resolve(target, token, tls)
        self.target = resolved.target
        self._metadata = resolved.metadata
        self._timeout = timeout
        self._work_timeout = work_timeout
        self._closed = False
        if resolved.tls is None:
            self._channel = aio.insecure_channel(resolved.target, options=connection.CHANNEL_OPTIONS)
        else:
            options = (*connection.CHANNEL_OPTIONS, *resolved.tls.options)
            self._channel = aio.secure_channel(resolved.target, resolved.tls.credentials(), options=options)
        self._streams: weakref.WeakSet[aio.UnaryStreamCall[Any, Any]] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every call that is under way, and the connection."""
        self._closed = True
        # A closed aio channel leaves the readers of its streams waiting for ever.
        for stream in list(self._streams):
            stream.cancel()
        await self._channel.close()

    async def _call(
        self, method: aio.UnaryUnaryMultiCallable[Request, Response], request: Request, within: float | None = None
    ) -> Response:
        self._check_open()
        try:
            return await method(request, timeout=within or self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error
        except asyncio.CancelledError:
            if not is_cancelled():
                self._check_open()
            raise

    async def _pages(
        self,
        method: aio.UnaryUnaryMultiCallable[PagedRequest, PageResponse],
        request: PagedRequest,
        within: float | None = None,
    ) -> AsyncIterator[PageResponse]:
        while True:
            page = await self._call(method, request, within)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _stream(
        self, method: aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncIterator[Response]:
        """Yields the messages of a stream that ends by itself; leaving it ends it on the server."""
        stream = self._open(method, request)
        try:
            async for message in stream:
                yield message
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error
        except asyncio.CancelledError:
            if not is_cancelled():
                self._check_open()
            raise
        finally:
            stream.cancel()

    def _open(
        self, method: aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> aio.UnaryStreamCall[Request, Response]:
        self._check_open()
        stream = method(request, metadata=self._metadata)
        self._streams.add(stream)
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")


def is_cancelled() -> bool:
    """Tells whether the task was cancelled; gRPC raises CancelledError also when only the call was, by `close`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
