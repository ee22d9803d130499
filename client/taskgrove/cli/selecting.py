"""Which tasks a command is about that are not named one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import taskgrove
from taskgrove.v1 import task_pb2
from taskgrove.v1.task_service_pb2 import ListTasksRequest

#: The states of tasks at rest, by their words.
STATES = {
    "succeeded": task_pb2.Task.STATE_SUCCEEDED,
    "failed": task_pb2.Task.STATE_FAILED,
    "cancelled": task_pb2.Task.STATE_CANCELLED,
}

_LARGEST_PAGE = 500

#: What takes memory, of tasks that may be many.
_LONG = ("description", "result", "subtasks", "overrides")


@dataclass(frozen=True, slots=True)
class Selection:
    """What resting tasks must have: None or empty asks for nothing."""

    before: datetime | None = None
    states: tuple[str, ...] = ()
    task_list_id: str | None = None

    @property
    def narrows(self) -> bool:
        """Tells whether anything is asked for."""
        return self != Selection()


def find(client: taskgrove.Client, selection: Selection) -> list[task_pb2.Task]:
    """Returns the tasks at rest that have it, those first that were enqueued first; without their long texts."""
    found: list[task_pb2.Task] = []
    for task in client.list_tasks(
        task_list_id=selection.task_list_id,
        states=[STATES[state] for state in selection.states or STATES],
        finished_before=selection.before,
        order=ListTasksRequest.ORDER_OLDEST_FIRST,
        page_size=_LARGEST_PAGE,
    ):
        # A server of an early version knows nothing of the time, and lists all.
        if selection.before is None or task.finish_time.ToDatetime(UTC) < selection.before:
            for field in _LONG:
                task.ClearField(field)
            found.append(task)
    return found


def has_directory(task: task_pb2.Task) -> bool:
    """Tells whether a task may have a worktree or a sandbox that is kept unless it is discarded."""
    if task.HasField("worktree"):
        return task.worktree.state != task_pb2.Worktree.STATE_DISCARDED
    return bool(task.directory)
