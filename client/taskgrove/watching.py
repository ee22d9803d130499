"""What a watch shows, and how it goes on where a lost stream ended.

`Resume` does no I/O: a client tells it each message (`receive`) and each loss (`lost`), and learns what to show,
what to ask for next (`request`) and how long to wait before. The blocking and the asyncio client share it.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from taskgrove import errors, requests
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse

#: Seconds after which a silent server sends a heartbeat. A stream that is silent three times as long is lost.
HEARTBEAT_INTERVAL = 15.0

#: Seconds before the first new attempt, and at most; the wait doubles in between and is cut by up to half at
#: random, so that the watchers of a restarted server do not come back all at once.
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0

#: Status codes that say nothing of the task: the connection, a proxy, or the server's process went away.
LOSSES = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})

#: What gRPC and proxies put into INTERNAL and UNKNOWN when a stream is reset under way.
RESETS = ("rst_stream", "goaway", "stream removed", "stream reset", "connection reset", "socket closed")


@dataclass(frozen=True, slots=True)
class Opened:
    """The watch has begun. Shown once. `last_line` is the newest line by then: up to there it is a replay."""

    task: Task
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a task's log: `number` counts within the task, `data` holds the bytes with their newline."""

    number: int
    run_number: int
    data: bytes

    @property
    def text(self) -> str:
        """The line without its newline; bytes that are no UTF-8 are replaced."""
        return self.data.removesuffix(b"\n").decode(errors="replace")

    def json(self) -> Any:
        """Parses the line. Raises ValueError if it is no JSON: nothing is promised about what an agent prints."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """The task has changed. Changes that follow each other quickly may be shown as one."""

    task: Task


@dataclass(frozen=True, slots=True)
class Rested:
    """The task rests and every line has been shown. Always the last event."""

    task: Task


Event = Opened | Line | TaskChanged | Rested


class Resume:
    """Follows one task across streams: checks that no line is missing, and knows where to go on.

    `reconnect_timeout` bounds the seconds for which attempts may fail in a row; None means for ever. `jitter`
    returns numbers from 0 to 1.
    """

    def __init__(
        self,
        task_id: str,
        *,
        after_line: int = 0,
        reconnect_timeout: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.task_id = task_id
        #: The last line that was shown.
        self.last_line = after_line
        #: The task as it was last shown; None before the first message.
        self.task: Task | None = None
        self.rested = False
        self._reconnect_timeout = reconnect_timeout
        self._jitter = jitter
        self._opened = False
        self._fragments = bytearray()
        self._missed_change: tuple[int, Task] | None = None
        self._failing_since: float | None = None
        self._failures = 0

    @property
    def silence_timeout(self) -> float:
        """The seconds without any message after which a stream is lost."""
        return 3 * HEARTBEAT_INTERVAL

    def request(self) -> WatchTaskRequest:
        """Returns what to ask for to begin a stream after the last line shown, and expects that stream."""
        self.rested = False
        self._opened = False
        # What was received of a line that is not complete is sent again from its start.
        self._fragments.clear()
        return requests.watch_task(self.task_id, self.last_line, HEARTBEAT_INTERVAL)

    def receive(self, message: WatchTaskResponse) -> Iterator[Event]:
        """Yields what a message shows. `last_line` moves with each line taken, so stopping in the middle is safe.

        Raises ProtocolError if lines are missing, repeated, or torn.
        """
        self._failing_since = None
        kind = message.WhichOneof("event")
        if (kind == "opened") == self._opened:
            raise self._broken(f"sent {kind!r} {'again' if self._opened else 'before opened'}")
        if kind == "opened":
            yield from self._open(message.opened)
            return
        # A server that opens a stream and drops it at once, again and again, is not recovering.
        self._failures = 0
        match kind:
            case "lines":
                yield from self._whole_lines(message.lines)
            case "fragment":
                yield from self._fragment(message.fragment)
            case "task":
                self._missed_change = None
                yield self._change(message.task)
            case "rested":
                yield self._rest(message.rested.task)
            case _:  # A heartbeat, or an event newer than this client.
                pass

    def lost(self, failure: errors.TaskgroveError | None, now: float) -> float:
        """Returns the seconds to wait before the next attempt, at `now`, a reading of a monotonic clock.

        `failure` is None when the stream ended with OK although the task did not rest. Raises `failure` if trying
        again cannot help, and ServerUnavailable if attempts have failed for too long.
        """
        if failure is not None and not self._is_loss(failure):
            raise failure
        if self._failing_since is None:
            self._failing_since = now
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self._failures, 16))
        self._failures += 1
        delay = backoff * (1 - self._jitter() / 2)
        if failure is not None and failure.retry_delay is not None:
            delay += failure.retry_delay
        if self._reconnect_timeout is None:
            return delay
        # The last attempt is made when the time is up, not earlier.
        remaining = self._failing_since + self._reconnect_timeout - now
        if remaining <= 0:
            raise self._given_up(failure)
        return min(delay, remaining)

    def _open(self, opened: WatchTaskResponse.Opened) -> Iterator[Event]:
        self._opened = True
        if self.task is None:
            self.task = opened.task
            yield Opened(opened.task, opened.first_line, opened.last_line)
        elif opened.task != self.task:
            # The change happened while no stream was open, and is not sent again. It is shown when the lines that
            # came before it have been.
            self._missed_change = (opened.last_line, opened.task)
            yield from self._show_missed_change()

    def _whole_lines(self, lines: WatchTaskResponse.Lines) -> Iterator[Event]:
        if self._fragments:
            raise self._broken(f"sent whole lines in the middle of line {self.last_line + 1}")
        self._expect(lines.first_line)
        if not lines.data.endswith(b"\n") or lines.data.count(b"\n") != lines.count:
            raise self._broken(f"sent bytes that are not {lines.count} lines from {lines.first_line} on")
        for data in io.BytesIO(lines.data):
            yield self._line(lines.run_number, data)
            yield from self._show_missed_change()

    def _fragment(self, fragment: WatchTaskResponse.Fragment) -> Iterator[Event]:
        self._expect(fragment.line)
        received = len(self._fragments)
        if fragment.offset != received:
            raise self._broken(f"went on with line {fragment.line} at byte {fragment.offset}, not {received}")
        self._fragments += fragment.data
        received = len(self._fragments)
        if received < fragment.line_size:
            return
        if received > fragment.line_size or self._fragments.find(b"\n") != received - 1:
            raise self._broken(f"sent bytes that are not one line of {fragment.line_size} bytes")
        data = bytes(self._fragments)
        self._fragments = bytearray()
        yield self._line(fragment.run_number, data)
        yield from self._show_missed_change()

    def _expect(self, number: int) -> None:
        if number != self.last_line + 1:
            raise self._broken(f"sent line {number} after line {self.last_line}")

    def _line(self, run_number: int, data: bytes) -> Line:
        self.last_line += 1
        return Line(self.last_line, run_number, data)

    def _change(self, task: Task) -> TaskChanged:
        self.task = task
        return TaskChanged(task)

    def _show_missed_change(self) -> Iterator[Event]:
        if self._missed_change is not None and self.last_line >= self._missed_change[0]:
            task = self._missed_change[1]
            self._missed_change = None
            yield self._change(task)

    def _rest(self, task: Task) -> Rested:
        if self._fragments or task.last_line > self.last_line:
            raise self._broken(f"ended after line {self.last_line} of {task.last_line}")
        self.task = task
        self.rested = True
        return Rested(task)

    def _is_loss(self, failure: errors.TaskgroveError) -> bool:
        if isinstance(failure, errors.TooManyWatchers):
            # After a restart all come back at once: who was let in before waits for its place.
            return self.task is not None
        return _is_loss(failure)

    def _broken(self, what: str) -> errors.ProtocolError:
        return errors.ProtocolError(f"Watching task {self.task_id}: the server {what}. Report this as a defect.")

    def _given_up(self, failure: errors.TaskgroveError | None) -> errors.ServerUnavailable:
        last = failure.message if failure is not None else "The stream ended before the task rested."
        given_up = errors.ServerUnavailable(
            f"Watching task {self.task_id} failed for {self._reconnect_timeout:g} s. Watch it again after line "
            f"{self.last_line} when the server is back. The last failure: {last}",
            reason=failure.reason if failure is not None else None,
            code=grpc.StatusCode.UNAVAILABLE,
        )
        given_up.__cause__ = failure.__cause__ if failure is not None else None
        return given_up


def silent(seconds: float) -> errors.ServerUnavailable:
    """Returns the loss of a stream that brought nothing for that many seconds."""
    return errors.ServerUnavailable(f"The server was silent for {seconds:g} s.", code=grpc.StatusCode.UNAVAILABLE)


def _is_loss(failure: errors.TaskgroveError) -> bool:
    if failure.code in LOSSES:
        return True
    # The service's own errors always have a reason.
    if failure.reason is not None or not isinstance(failure, errors.InternalServerError):
        return False
    return any(sign in failure.message.lower() for sign in RESETS)
