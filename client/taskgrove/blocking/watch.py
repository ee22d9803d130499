"""The blocking watch of a task."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

import grpc

from taskgrove import errors, watching
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.task_pb2 import Task


class Stream(Protocol):
    """A WatchTask call under way."""

    def __iter__(self) -> Iterator[tasks_pb2.WatchTaskResponse]: ...
    def cancel(self) -> object:
        """Ends the call."""
        ...


class Watch:
    """Iterates the events of one task, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on after `last_line`. HTTP/2 keepalive
    finds a server that is gone without a word, so no thread is needed to watch over the stream.
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
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def task(self) -> Task | None:
        """The task as it was last shown; None before the first event."""
        return self._resume.task

    @property
    def last_line(self) -> int:
        """The number of the last line that was shown: where another watch would go on."""
        return self._resume.last_line

    def close(self) -> None:
        """Ends the iteration; another thread may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    def __iter__(self) -> Iterator[watching.Event]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._resume.request())
            try:
                if self._closed.is_set():  # After `close` looked for a stream to cancel.
                    return
                for message in stream:
                    yield from self._resume.receive(message)
                    if self._resume.rested:
                        return
            except grpc.RpcError as error:
                failure = errors.from_rpc_error(error, self._target)
            finally:
                stream.cancel()
            if not self._closed.is_set():
                self._closed.wait(self._resume.lost(failure, time.monotonic()))
