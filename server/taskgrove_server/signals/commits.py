"""Tells of commits: whatever has to move when something was stored hangs on this, and re-reads what is stored.

A call that stores something sends no message of its own afterwards: its caller may be gone by then, and the call with
it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from taskgrove_server.domain.ids import TaskId

log = logging.getLogger(__name__)

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
        """Tells all listeners of a commit; one that fails keeps nothing from the others."""
        for listener in self._listeners:
            try:
                listener(task_ids)
            except Exception:
                log.exception("A commit could not be told of")
