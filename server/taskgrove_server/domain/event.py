"""What happens to tasks, as it is told to those who look at many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.hold import Hold
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import TaskState
from taskgrove_server.domain.worktree import Worktree


class EventKind(StrEnum):
    """What happened; the values mean what event.proto says."""

    TASK_QUEUED = "task_queued"
    TASK_STARTED = "task_started"
    RUN_CREATED = "run_created"
    TASK_UPDATED = "task_updated"
    WORKTREE_UPDATED = "worktree_updated"
    TASK_FINISHED = "task_finished"
    TASK_DELETED = "task_deleted"
    REPOSITORY_CHANGED = "repository_changed"
    HOLD_BEGAN = "hold_began"
    HOLD_ENDED = "hold_ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, as it is stored. What its kind does not set is None, or empty."""

    sequence: int
    kind: EventKind
    task_id: TaskId
    task_list_id: TaskListId
    create_time: datetime
    task_title: str
    #: After the event.
    task_state: TaskState | None
    slot: int | None = None
    run_number: int | None = None
    is_retry: bool = False
    worktree: Worktree | None = None
    failure_kind: FailureKind | None = None
    repository_changes: tuple[str, ...] = ()
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; empty asks for nothing."""

    task_list_ids: frozenset[TaskListId] = frozenset()
    kinds: frozenset[EventKind] = frozenset()


@dataclass(frozen=True, slots=True)
class EventBounds:
    """The sequences of the oldest event that is kept and of the newest; 1 and 0 when there never was one."""

    first: int = 1
    last: int = 0


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, in order. All that were wanted up to the sequence `through` are here or came before."""

    events: tuple[Event, ...]
    through: int
    #: More may follow at once.
    full: bool
