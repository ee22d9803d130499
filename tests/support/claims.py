"""Claims tasks as the dispatcher does while nothing is held."""

from __future__ import annotations

from taskgrove_server.domain import clock
from taskgrove_server.domain.task import Task
from taskgrove_server.store.slots import Held
from taskgrove_server.store.store import Store

#: Seconds within which a claim has to be on disk.
PATIENCE = 10.0


def claim(store: Store, slot: int) -> Task | None:
    """Gives the slot to the task that waits longest; None when none waits."""
    nothing = Held(now=clock.now(), nothing=True, agents=frozenset(), directories=frozenset())
    waiting = store.slots.next(nothing)
    return None if waiting is None else store.slots.claim(waiting.task_id, slot).result(PATIENCE)
