"""Follows tasks with the client library, and takes their lines apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

import taskgrove
from support.tasks_gates import PATIENCE
from taskgrove.v1.task_pb2 import Task

T = TypeVar("T")

RESTING = frozenset({Task.STATE_SUCCEEDED, Task.STATE_FAILED, Task.STATE_CANCELLED})


class Follower:
    """Watches a task in a thread of its own, and keeps all that it is shown."""

    def __init__(
        self, client: taskgrove.Client, task_id: str, *, after_line: int = 0, patience: float = PATIENCE
    ) -> None:
        self.task_id = task_id
        self._patience = patience
        self.events: list[taskgrove.WatchEvent] = []
        self._watch = client.watch(task_id, after_line=after_line, reconnect_timeout=patience)
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._follow, name=f"follower of {task_id}", daemon=True)
        self._thread.start()

    def wait_for(self, look: Callable[[list[taskgrove.WatchEvent]], T], what: str) -> T:
        """Returns what `look` makes of the events as soon as that is true."""
        with self._changed:
            there = self._changed.wait_for(lambda: look(self.events) or self._ended, self._patience)
            assert there, f"not within {self._patience:g} s: {what}"
            found = look(self.events)
        if self._error is not None:
            raise self._error
        assert found, f"the watch ended before: {what}"
        return found

    def wait_for_text(self, wanted: str) -> None:
        """Waits until the agent has printed a line."""
        self.wait_for(lambda events: wanted in texts(events), f"a line {wanted!r}")

    def rested(self) -> Task:
        """Waits for the end of the watch, and returns the task at rest."""
        self._thread.join(self._patience)
        assert not self._thread.is_alive(), f"the task did not rest within {self._patience:g} s: {self.events[-1:]}"
        if self._error is not None:
            raise self._error
        last = self.events[-1]
        assert isinstance(last, taskgrove.Rested)
        return last.task

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._thread.join(PATIENCE)

    def _follow(self) -> None:
        try:
            for event in self._watch:
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def lines(events: Iterable[taskgrove.WatchEvent]) -> list[taskgrove.Line]:
    """Returns the lines among some events."""
    return [event for event in events if isinstance(event, taskgrove.Line)]


def data(events: Iterable[taskgrove.WatchEvent]) -> bytes:
    """Returns the bytes of all lines."""
    return b"".join(line.data for line in lines(events))


def text(line: taskgrove.Line) -> str | None:
    """Returns what the command printed on its standard output, if the line is that."""
    record = json.loads(line.data)
    return record.get("text") if record["type"] == "output" and record["stream"] == "stdout" else None


def texts(events: Iterable[taskgrove.WatchEvent]) -> list[str]:
    """Returns all that the commands printed on their standard output."""
    return [printed for line in lines(events) if (printed := text(line)) is not None]


def terminal_states(events: Iterable[taskgrove.WatchEvent]) -> set[Task.State]:
    """Returns the terminal states in which a watch has shown the task."""
    shown = {event.task.state for event in events if not isinstance(event, taskgrove.Line)}
    return {state for state in shown if state in RESTING}


def numbers_are_dense(events: Iterable[taskgrove.WatchEvent], first: int = 1) -> bool:
    """Tells whether the lines are numbered without gap and without duplicate."""
    numbers = [line.number for line in lines(events)]
    return numbers == list(range(first, first + len(numbers)))
