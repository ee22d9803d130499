"""A connection to one server, and how calls are made over it."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc

from taskgrove import connection, errors, requests

#: Lets the thread that iterates a stream do the reading, where gRPC would start one of its own; 1.7 times as many
#: lines a second. grpc.experimental.ChannelOptions names it.
SINGLE_THREADED = ("SingleThreadedUnaryStream", 1)

Request = TypeVar("Request")
Response = TypeVar("Response")
Response_co = TypeVar("Response_co", covariant=True)
PagedRequest = TypeVar("PagedRequest", bound=requests.Paged)
PageResponse = TypeVar("PageResponse", bound=requests.Page)


class Stream(Protocol[Response_co]):
    """A streaming call under way."""

    def __iter__(self) -> Iterator[Response_co]: ...
    def cancel(self) -> object:
        """Ends the call."""
        ...


class Connected:
    """One connection, which all threads may share; see Client."""

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
        options = [*connection.CHANNEL_OPTIONS, SINGLE_THREADED]
        if resolved.tls is None:
            self._channel = grpc.insecure_channel(resolved.target, options=options)
        else:
            options += resolved.tls.options
            self._channel = grpc.secure_channel(resolved.target, resolved.tls.credentials(), options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is under way, and the connection."""
        self._closed = True
        self._channel.close()

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, within: float | None = None
    ) -> Response:
        self._check_open()
        try:
            return method(request, timeout=within or self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error

    def _pages(
        self,
        method: grpc.UnaryUnaryMultiCallable[PagedRequest, PageResponse],
        request: PagedRequest,
        within: float | None = None,
    ) -> Iterator[PageResponse]:
        while True:
            page = self._call(method, request, within)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _stream(self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request) -> Iterator[Response]:
        """Yields the messages of a stream that ends by itself; leaving it ends it on the server."""
        stream = self._open(method, request)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error
        finally:
            stream.cancel()

    def _open(self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request) -> Stream[Response]:
        self._check_open()
        return method(request, metadata=self._metadata)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")
