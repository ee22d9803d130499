"""Tasks and the states that they move through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taskgrove_server.domain import clock
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.worktree import Worktree, WorktreeState


class TaskState(StrEnum):
    """Where a task stands: QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def rests(self) -> bool:
        """Tells whether nothing more happens until somebody asks."""
        return self in RESTING


RESTING = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Subtask:
    """One part of a task."""

    title: str
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work, as it is stored. Times are aware and in UTC; the fields mean what task.proto says."""

    id: TaskId
    task_list_id: TaskListId
    title: str
    description: str
    subtasks: tuple[Subtask, ...]
    overrides: RunConfig
    state: TaskState
    create_time: datetime
    update_time: datetime
    slot: int | None = None
    cancel_requested: bool = False
    #: The agent has succeeded and its changes are being committed: it is too late to cancel.
    settling: bool = False
    #: The prompt of a Continue whose run has not been recorded yet.
    next_prompt: str | None = None
    #: To be done from the start: with a new session, and in a new worktree.
    restart: bool = False
    result: str | None = None
    failure: Failure | None = None
    worktree: Worktree | None = None
    #: Relative to the top of the worktree; empty for the top itself.
    subdirectory: str = ""
    directory: str | None = None
    run_count: int = 0
    last_line: int = 0
    #: How many lines, from the first on, retention has removed.
    removed_lines: int = 0
    #: When a hold last put it back into the queue.
    hold_time: datetime | None = None
    start_time: datetime | None = None
    finish_time: datetime | None = None

    @property
    def etag(self) -> str:
        """Returns what changes whenever the task does."""
        return clock.etag(self.update_time)

    @property
    def awaits_worktree(self) -> bool:
        """Tells whether a worktree that is found at the task's place has not been recorded, and holds no work."""
        if self.worktree is None:
            return True
        return self.restart and self.worktree.state is WorktreeState.DISCARDED


@dataclass(frozen=True, slots=True)
class TaskEdit:
    """A change of a task that waits: what is None stays as it is."""

    title: str | None = None
    description: str | None = None
    subtasks: tuple[Subtask, ...] | None = None
    overrides: RunConfig | None = None
