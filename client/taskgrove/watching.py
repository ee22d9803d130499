"""What a watch shows, and how it goes on where a lost stream ended.

`Resume` does no I/O: a client tells it each message (`receive`) and each loss (`lost`), and learns what to show,
what to ask for next (`request`) and how long to wait before. The blocking and the asyncio client share it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from taskgrove import errors, requests, resuming
from taskgrove.lines import Line, Receiver
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse


@dataclass(frozen=True, slots=True)
class Opened:
    """The watch has begun. Shown once. `last_line` is the newest line by then: up to there it is a replay.

    Lines before `first_line` were removed, as the server's log_retention says: they are not shown.
    """

    task: Task
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """The task has changed. Changes that follow each other quickly may be shown as one."""

    task: Task


@dataclass(frozen=True, slots=True)
class Rested:
    """The task rests and every line has been shown. Always the last event."""

    task: Task


WatchEvent = Opened | Line | TaskChanged | Rested


class Resume:
    """Follows one task across streams: checks that no line is missing, and knows where to go on.

    `reconnect_timeout` and `jitter` are those of a Backoff.
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
        #: The task as it was last shown; None before the first message.
        self.task: Task | None = None
        self.rested = False
        self._receiver = Receiver(after_line, self._broken)
        self._backoff = resuming.Backoff(reconnect_timeout, jitter)
        self._opened = False
        self._missed_change: tuple[int, Task] | None = None

    @property
    def finished(self) -> bool:
        """Tells whether the task rests and everything was shown."""
        return self.rested

    @property
    def last_line(self) -> int:
        """The last line that was shown."""
        return self._receiver.last_line

    def request(self) -> WatchTaskRequest:
        """Returns what to ask for to begin a stream after the last line shown, and expects that stream."""
        self.rested = False
        self._opened = False
        self._receiver.forget()
        return requests.watch_task(self.task_id, self.last_line, resuming.HEARTBEAT_INTERVAL)

    def receive(self, message: WatchTaskResponse) -> Iterator[WatchEvent]:
        """Yields what a message shows. `last_line` moves with each line taken, so stopping in the middle is safe.

        Raises ProtocolError if lines are missing, repeated, or torn.
        """
        self._backoff.received()
        kind = message.WhichOneof("event")
        if (kind == "opened") == self._opened:
            raise self._broken(f"sent {kind!r} {'again' if self._opened else 'before opened'}")
        if kind == "opened":
            yield from self._open(message.opened)
            return
        self._backoff.progressed()
        match kind:
            case "lines":
                for line in self._receiver.whole(message.lines):
                    yield line
                    yield from self._show_missed_change()
            case "fragment":
                for line in self._receiver.fragment(message.fragment):
                    yield line
                    yield from self._show_missed_change()
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
        if failure is not None and not resuming.is_loss(failure, joined=self.task is not None):
            raise failure
        delay = self._backoff.delay(failure, now)
        if delay is None:
            advice = f"Watch it again after line {self.last_line}"
            raise self._backoff.given_up(f"Watching task {self.task_id}", advice, failure)
        return delay

    def _open(self, opened: WatchTaskResponse.Opened) -> Iterator[WatchEvent]:
        self._opened = True
        self._receiver.skip(opened.first_line)
        if self.task is None:
            self.task = opened.task
            yield Opened(opened.task, opened.first_line, opened.last_line)
        elif opened.task != self.task:
            # The change happened while no stream was open, and is not sent again. It is shown when the lines that
            # came before it have been.
            self._missed_change = (opened.last_line, opened.task)
            yield from self._show_missed_change()

    def _change(self, task: Task) -> TaskChanged:
        self.task = task
        return TaskChanged(task)

    def _show_missed_change(self) -> Iterator[WatchEvent]:
        if self._missed_change is not None and self.last_line >= self._missed_change[0]:
            task = self._missed_change[1]
            self._missed_change = None
            yield self._change(task)

    def _rest(self, task: Task) -> Rested:
        if self._receiver.torn or task.last_line > self.last_line:
            raise self._broken(f"ended after line {self.last_line} of {task.last_line}")
        self.task = task
        self.rested = True
        return Rested(task)

    def _broken(self, what: str) -> errors.ProtocolError:
        return errors.ProtocolError(f"Watching task {self.task_id}: the server {what}. Report this as a defect.")
