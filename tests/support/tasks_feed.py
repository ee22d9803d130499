"""Watches the feed of events in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Self

import taskgrove
from support import tasks_gates
from taskgrove.v1.event_pb2 import Event


class Collector:
    """Collects events from when it is entered, or from behind a sequence."""

    def __init__(self, client: taskgrove.Client, after_sequence: int | None = None) -> None:
        self.watch = client.watch_events(after_sequence=after_sequence, reconnect_timeout=tasks_gates.PATIENCE)
        self.events: list[Event] = []
        self._thread = threading.Thread(target=self._collect, name="collector of events", daemon=True)

    def _collect(self) -> None:
        # `append` is done before the next event is asked for, so that nobody sees half of one.
        self.events.extend(self.watch)

    def __enter__(self) -> Self:
        self._thread.start()
        tasks_gates.until(lambda: self.watch.last_sequence is not None, "the beginning of the feed")
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.close()
        self._thread.join(tasks_gates.PATIENCE)
        assert not self._thread.is_alive()

    def of(self, task_id: str) -> list[str]:
        """Returns the kinds of a task's events so far."""
        return kinds(event for event in self.events if event.task_id == task_id)

    def wait_for(self, kind: str, task_id: str, count: int = 1) -> list[Event]:
        """Returns the events so far, once a task has so many of this kind."""
        tasks_gates.until(lambda: self.of(task_id).count(kind) >= count, f"{count} {kind} of {task_id}")
        return list(self.events)


def kinds(events: Iterable[Event]) -> list[str]:
    """Returns the kinds of events, such as "TASK_QUEUED"."""
    return [Event.Kind.Name(event.kind).removeprefix("KIND_") for event in events]
