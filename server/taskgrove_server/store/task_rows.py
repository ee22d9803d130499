"""Reads and changes the rows of tasks, within whatever transaction there is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.store import models, rows
from taskgrove_server.store.writer import Changed

#: Names of ours alone.
_SELECT = f"SELECT {rows.TASK_COLUMNS} FROM task LEFT JOIN worktree ON worktree.task_id = task.id"  # noqa: S608

_ADD = """
INSERT INTO task (
    id, task_list_id, title, description, subtasks, overrides, subdirectory, state, queue_order,
    create_time, update_time
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class RestedSince(Exception):
    """The task has not rested for as long as it had to be removed."""


def select(clauses: str, *parameters: Any) -> list[Task]:
    """Returns the tasks that a statement finds, of which `clauses` is what follows after the tables."""
    return [rows.to_task(row) for row in models.run(f"{_SELECT} {clauses}", *parameters)]


def get(task_id: TaskId) -> Task:
    """Returns a task. Raises TaskNotFound."""
    found = select("WHERE task.id = ?", task_id)
    if not found:
        raise errors.TaskNotFound(task_id)
    return found[0]


def those(task_ids: Iterable[TaskId]) -> dict[TaskId, Task]:
    """Returns those of the tasks that there are."""
    found = select("WHERE task.id IN (SELECT value FROM json_each(?))", json.dumps(list(task_ids)))
    return {task.id: task for task in found}


def add(task: Task) -> None:
    """Adds a task at the end of the queue."""
    models.run(
        _ADD,
        task.id,
        task.task_list_id,
        task.title,
        task.description,
        rows.from_subtasks(task.subtasks),
        rows.from_config(task.overrides),
        task.subdirectory,
        task.state.value,
        end_of_queue(),
        rows.from_time(task.create_time),
        rows.from_time(task.update_time),
    )


def update(changed: Changed, task_id: TaskId, **values: Any) -> None:
    """Changes columns of a task, and notes that it has changed."""
    models.change("task", {"update_time": rows.from_time(clock.now()), **values}, "id = ?", task_id)
    changed.tasks.add(task_id)


def check_rested(task: Task, before: datetime | None) -> None:
    """Raises RestedSince unless a task came to rest before that; None means whenever it did."""
    if before is not None and (task.finish_time is None or task.finish_time >= before):
        raise RestedSince


def end_of_queue() -> int:
    """Returns the place behind all that wait."""
    last: int | None = models.run("SELECT MAX(queue_order) FROM task").fetchone()[0]
    return (last or 0) + 1
