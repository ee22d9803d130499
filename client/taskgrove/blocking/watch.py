"""The blocking watches: of a task, and of the events of all tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import grpc

from taskgrove import errors, feed, resuming, watching
from taskgrove.blocking.connected import Stream
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse

Request = TypeVar("Request")
Response = TypeVar("Response")
Item = TypeVar("Item")


class Following(Generic[Request, Response, Item]):
    """Iterates what is followed, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on where it was left. HTTP/2 keepalive
    finds a server that is gone without a word, so no thread is needed to watch over the stream.
    """

    def __init__(
        self,
        target: str,
        open_stream: Callable[[Request], Stream[Response]],
        resume: resuming.Resumable[Request, Response, Item],
    ) -> None:
        self._target = target
        self._open_stream = open_stream
        self._following = resume
        self._stream: Stream[Response] | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the iteration; another thread may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    def __iter__(self) -> Iterator[Item]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._following.request())
            try:
                if self._closed.is_set():  # After `close` looked for a stream to cancel.
                    return
                for message in stream:
                    yield from self._following.receive(message)
                    if self._following.finished:
                        return
            except grpc.RpcError as error:
                failure = errors.from_rpc_error(error, self._target)
            finally:
                stream.cancel()
            if not self._closed.is_set():
                self._closed.wait(self._following.lost(failure, time.monotonic()))


class Watch(Following[WatchTaskRequest, WatchTaskResponse, watching.WatchEvent]):
    """Iterates the events of one task until it rests; goes on after `last_line`."""

    def __init__(
        self,
        target: str,
        open_stream: Callable[[WatchTaskRequest], Stream[WatchTaskResponse]],
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


class EventWatch(Following[WatchEventsRequest, WatchEventsResponse, Event]):
    """Iterates the events of all tasks until it is closed; goes on after `last_sequence`."""

    def __init__(
        self,
        target: str,
        open_stream: Callable[[WatchEventsRequest], Stream[WatchEventsResponse]],
        resume: feed.Feed,
    ) -> None:
        super().__init__(target, open_stream, resume)
        self._resume = resume

    @property
    def last_sequence(self) -> int | None:
        """The sequence up to which everything was shown, to be kept for the next watch; None before it is known."""
        return self._resume.last_sequence
