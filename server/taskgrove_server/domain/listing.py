"""Which tasks a listing has, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.task import TaskState


class Order(Enum):
    """The order of a listing; a task's place in one is a tuple of whole numbers."""

    #: By when they were enqueued, by which sequences grow: a place is (sequence,).
    NEWEST_FIRST = auto()
    OLDEST_FIRST = auto()
    #: By when they last changed: a place is (microseconds since 1970, sequence).
    LAST_CHANGED_FIRST = auto()

    @property
    def place(self) -> tuple[type[int], ...]:
        """Returns the types of a place's parts."""
        return (int, int) if self is Order.LAST_CHANGED_FIRST else (int,)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a task must have to be listed; None or empty asks for nothing. The bounds of time are aware."""

    task_list_id: TaskListId | None = None
    states: frozenset[TaskState] = frozenset()
    title_contains: str = ""
    #: The task was enqueued then or later.
    created_after: datetime | None = None
    #: The task was enqueued before.
    created_before: datetime | None = None
    failure_kinds: frozenset[FailureKind] = frozenset()
    #: The task rests, and came to rest before.
    finished_before: datetime | None = None
    #: The task is of one of these lists, or of `task_list_id`.
    task_list_ids: frozenset[TaskListId] = frozenset()
