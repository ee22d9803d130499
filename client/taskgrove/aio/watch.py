"""The asyncio watches: of a task, and of the events of all tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message
from grpc import aio

from taskgrove import errors, feed, resuming, watching
from taskgrove.aio.connected import is_cancelled
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse

Request = TypeVar("Request")
Response = TypeVar("Response", bound=Message)
Item = TypeVar("Item")


class AsyncFollowing(Generic[Request, Response, Item]):
    """Iterates what is followed, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on where it was left. A stream that brings
    nothing for three heartbeats is taken for lost.
    """

    def __init__(
        self,
        target: str,
        open_stream: Callable[[Request], aio.UnaryStreamCall[Request, Response]],
        resume: resuming.Resumable[Request, Response, Item],
    ) -> None:
        self._target = target
        self._open_stream = open_stream
        self._following = resume
        self._stream: aio.UnaryStreamCall[Request, Response] | None = None
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the iteration; another task may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._following.request())
            try:
                while (message := await self._read(stream)) is not None:
                    for event in self._following.receive(message):
                        yield event
                    if self._following.finished:
                        return
            except errors.TaskgroveError as lost:
                failure = lost
            finally:
                stream.cancel()
            if not self._closed.is_set():
                await self._pause(self._following.lost(failure, time.monotonic()))

    async def _read(self, stream: aio.UnaryStreamCall[Request, Response]) -> Response | None:
        """Returns the next message, or None at the end of the stream."""
        silence = resuming.silence_timeout()
        try:
            async with asyncio.timeout(silence):
                message = await stream.read()
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self._target) from error
        except TimeoutError:
            raise resuming.silent(silence) from None
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return None
        # EOF is an object of a type of its own, which the stubs do not let one name.
        return cast("Response", message) if isinstance(message, Message) else None

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._closed.wait()
        except TimeoutError:
            pass


class AsyncWatch(AsyncFollowing[WatchTaskRequest, WatchTaskResponse, watching.WatchEvent]):
    """Iterates the events of one task until it rests; goes on after `last_line`."""

    def __init__(
        self,
        target: str,
        open_stream: Callable[[WatchTaskRequest], aio.UnaryStreamCall[WatchTaskRequest, WatchTaskResponse]],
        resume: watching.Resume,
    ) -> None:
        super().__init__(target, open_stream, resume)
        self._resume = resume

    @property
    def task(self) -> Task | None:
        """The task as it was last shown; None before the first event."""
        return self._resume.task

    @property
    def last_line(self) -> int:
        """The number of the last line that was shown: where another watch would go on."""
        return self._resume.last_line


class AsyncEventWatch(AsyncFollowing[WatchEventsRequest, WatchEventsResponse, Event]):
    """Iterates the events of all tasks until it is closed; goes on after `last_sequence`."""

    def __init__(
        self,
        target: str,
        open_stream: Callable[[WatchEventsRequest], aio.UnaryStreamCall[WatchEventsRequest, WatchEventsResponse]],
        resume: feed.Feed,
    ) -> None:
        super().__init__(target, open_stream, resume)
        self._resume = resume

    @property
    def last_sequence(self) -> int | None:
        """The sequence up to which everything was shown, to be kept for the next watch; None before it is known."""
        return self._resume.last_sequence
