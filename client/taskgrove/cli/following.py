"""Follows a task until it rests, and lets Ctrl-C in only where it does no harm."""

from __future__ import annotations

import contextlib
import functools
import queue
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from types import FrameType
from typing import Any, Protocol, Self, TypeVar

import taskgrove
from taskgrove import errors, watching
from taskgrove.cli import elsewhere, holds
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
    held = holds.News(client)
    with deferred_interrupts() as interrupts, view:
        while True:
            try:
                # An interrupted watch is not read on: it is opened again after the last line that was shown.
                with client.watch(task_id, after_line=position) as watch:
                    events = iter(watch)
                    while True:
                        event = interrupts.next_of(events, watch.close)
                        with interrupts.at_once():
                            match event:
                                case taskgrove.Line() as line:
                                    view.line(line)
                                    position = line.number
                                case watching.TaskChanged(task):
                                    view.changed(task)
                                    _tell(view, held.of(task))
                                case watching.Opened(task, first_line, last_line):
                                    if removed := position < first_line - 1:
                                        position = first_line - 1
                                    view.changed(task) if opened else view.opened(task, last_line - position)
                                    if removed:
                                        view.notice(f"The lines up to line {position} were removed by the server.")
                                    _tell(view, held.of(task))
                                    opened = True
                                case watching.Rested(task):
                                    view.rested(task)
                                    return task
            except KeyboardInterrupt:
                if interrupts.seen:
                    raise
                interrupts.seen = True
                with interrupts.at_once():
                    goes_on = elsewhere.called(functools.partial(on_interrupt, position))
                if not goes_on:
                    raise


def _tell(view: View, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        view.notice(sentence)


class Interrupts:
    """Raises KeyboardInterrupt for the first Ctrl-C only where the program waits for the next event.

    Elsewhere it would tear what is being printed, or lose an event between its arrival and its display. The wait
    itself is ended by closing what is followed, for in gRPC's code nothing may be raised: see elsewhere. So it is for
    other signals that have a handler, which is called when the wait has ended.
    """

    def __init__(self) -> None:
        #: The first Ctrl-C was delivered: from now on each one ends what `at_once` encloses.
        self.seen = False
        self._pending = 0
        self._at_once = False
        self._close: Callable[[], None] | None = None
        self._to_close: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._others: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._put_off: list[int] = []

    def handle(self, _number: int, _frame: object) -> None:
        """Handles SIGINT."""
        self._pending += 1
        if self._close is not None:
            # Not here: the handler may have interrupted the very code that would be called.
            self._to_close.put(self._close)
        elif self._at_once and (self.seen or self._pending > 1):
            raise KeyboardInterrupt

    def take_over(self, number: int) -> None:
        """Has the handler of another signal, if there is one, called only where it does no harm."""
        handler = signal.getsignal(number)
        if callable(handler):
            self._others[number] = handler
            signal.signal(number, self._handle_other)

    def next_of(self, events: Iterator[_Event], close: Callable[[], None]) -> _Event:
        """Returns the next event; raises KeyboardInterrupt for a Ctrl-C since the last one, or what a handler raises.

        `close` ends the wait for an event; a thread calls it.
        """
        self._close = close
        try:
            self._raise_pending()
            return next(events)
        except (StopIteration, errors.TaskgroveError):
            self._raise_pending()
            raise
        finally:
            self._close = None

    @contextlib.contextmanager
    def at_once(self) -> Generator[None]:
        """Lets every Ctrl-C but the first raise KeyboardInterrupt wherever the program is meanwhile."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def close_others(self) -> None:
        """Closes what the handler wants closed, in a thread, until `end`."""
        while (close := self._to_close.get()) is not None:
            close()

    def end(self) -> None:
        """Gives the other signals back, and ends the thread of `close_others`."""
        for number, handler in self._others.items():
            signal.signal(number, handler)
        self._to_close.put(None)

    def _handle_other(self, number: int, frame: FrameType | None) -> None:
        if self._close is None:
            self._others[number](number, frame)
        else:
            self._put_off.append(number)
            self._to_close.put(self._close)

    def _raise_pending(self) -> None:
        while self._put_off:
            number = self._put_off.pop()
            self._others[number](number, None)
        if self._pending:
            self._pending = 0
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_interrupts() -> Generator[Interrupts]:
    """Takes over Ctrl-C, and gives it back at the end."""
    interrupts = Interrupts()
    threading.Thread(target=interrupts.close_others, name="interrupts", daemon=True).start()
    before = signal.signal(signal.SIGINT, interrupts.handle)
    for number in (signal.SIGTERM, signal.SIGHUP):
        interrupts.take_over(number)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
        interrupts.end()
