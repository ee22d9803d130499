"""Follows a task until it rests, and lets Ctrl-C in only where it does no harm."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Protocol, Self, TypeVar

import taskgrove
from taskgrove import watching
from taskgrove.v1 import task_pb2

_Event = TypeVar("_Event")


class View(Protocol):
    """Shows what is followed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def opened(self, task: task_pb2.Task, replay: int) -> None:
        """Shows the task as it is when the view begins; the next `replay` lines are there already."""
        ...

    def line(self, line: taskgrove.Line) -> None:
        """Shows one line."""
        ...

    def changed(self, task: task_pb2.Task) -> None:
        """Shows the task after a change."""
        ...

    def rested(self, task: task_pb2.Task) -> None:
        """Shows how the task ended."""
        ...

    def notice(self, text: str) -> None:
        """Shows a sentence of this program."""
        ...


def follow(
    client: taskgrove.Client,
    task_id: str,
    view: View,
    *,
    after_line: int = 0,
    on_interrupt: Callable[[int], bool],
) -> task_pb2.Task:
    """Shows the lines after `after_line` until the task rests, and returns the task.

    At the first Ctrl-C, `on_interrupt` gets the number of the last line shown, and tells whether to go on. If not,
    and at every later Ctrl-C, KeyboardInterrupt is raised.
    """
    position = after_line
    opened = False
    with deferred_interrupts() as interrupts, view:
        while True:
            try:
                # An interrupted watch is not read on: it is opened again after the last line that was shown.
                with client.watch(task_id, after_line=position) as watch:
                    events = iter(watch)
                    while True:
                        match interrupts.next_of(events):
                            case taskgrove.Line() as line:
                                view.line(line)
                                position = line.number
                            case watching.TaskChanged(task):
                                view.changed(task)
                            case watching.Opened(task, _, last_line):
                                view.changed(task) if opened else view.opened(task, last_line - position)
                                opened = True
                            case watching.Rested(task):
                                view.rested(task)
                                return task
            except KeyboardInterrupt:
                if interrupts.seen:
                    raise
                interrupts.seen = True
                if not on_interrupt(position):
                    raise


class Interrupts:
    """Raises KeyboardInterrupt for the first Ctrl-C only while the program waits for the next event.

    Elsewhere it would tear what is being printed, or lose an event between its arrival and its display.
    """

    def __init__(self) -> None:
        #: The first Ctrl-C was delivered: from now on each one is raised at once.
        self.seen = False
        self._pending = False
        self._waiting = False

    def handle(self, _number: int, _frame: object) -> None:
        """Handles SIGINT."""
        if self._waiting or self._pending or self.seen:
            raise KeyboardInterrupt
        self._pending = True

    def next_of(self, events: Iterator[_Event]) -> _Event:
        """Returns the next event; raises KeyboardInterrupt for a Ctrl-C since the last one."""
        self._waiting = True
        try:
            if self._pending and not self.seen:
                raise KeyboardInterrupt
            return next(events)
        finally:
            self._waiting = False


@contextlib.contextmanager
def deferred_interrupts() -> Generator[Interrupts]:
    """Takes over Ctrl-C, and gives it back at the end."""
    interrupts = Interrupts()
    before = signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
