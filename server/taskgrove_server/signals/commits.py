"""Tells of commits: whatever has to move when something was stored hangs on this, and re-reads what is stored.

A call that stores something sends no message of its own afterwards: its caller may be gone by then, and the call with
it.
"""

from __future__ import annotations

from collections.abc import Callable

from taskgrove_server.domain.ids import TaskId

#: Is called with the tasks that a commit touched, on the thread that has committed: it must not block.
Listener = Callable[[frozenset[TaskId]], None]


class Commits:
    """Hands each commit to all who listen. What it tells is a hint: who hears late looks at what is stored."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Has a listener called for each commit from now on."""
        self._listeners.append(listener)

    def tell(self, task_ids: frozenset[TaskId]) -> None:
        """Tells all listeners of a commit; raises what one has raised, once the others are told as well."""
        failure: Exception | None = None
        for listener in self._listeners:
            try:
                listener(task_ids)
            except Exception as error:  # noqa: BLE001 - one that fails keeps nothing from the others
                failure = error
        if failure is not None:
            raise failure
