"""The asyncio watch of a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from taskgrove import errors, resuming, watching
from taskgrove.aio.connected import is_cancelled
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.task_pb2 import Task

Stream = aio.UnaryStreamCall[tasks_pb2.WatchTaskRequest, tasks_pb2.WatchTaskResponse]


class AsyncWatch:
    """Iterates the events of one task, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on after `last_line`. A stream that brings
    nothing for three heartbeats is taken for lost.
    """

    def __init__(
        self,
        target: str,
        open_stream: Callable[[tasks_pb2.WatchTaskRequest], Stream],
        resume: watching.Resume,
    ) -> None:
        self._target = target
        self._open_stream = open_stream
        self._resume = resume
        self._stream: Stream | None = None
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def task(self) -> Task | None:
        """The task as it was last shown; None before the first event."""
        return self._resume.task

    @property
    def last_line(self) -> int:
        """The number of the last line that was shown: where another watch would go on."""
        return self._resume.last_line

    async def close(self) -> None:
        """Ends the iteration; another task may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[watching.Event]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._resume.request())
            try:
                while (message := await self._read(stream)) is not None:
                    for event in self._resume.receive(message):
                        yield event
                    if self._resume.rested:
                        return
            except errors.TaskgroveError as lost:
                failure = lost
            finally:
                stream.cancel()
            if not self._closed.is_set():
                await self._pause(self._resume.lost(failure, time.monotonic()))

    async def _read(self, stream: Stream) -> tasks_pb2.WatchTaskResponse | None:
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
        return message if isinstance(message, tasks_pb2.WatchTaskResponse) else None

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._closed.wait()
        except TimeoutError:
            pass
