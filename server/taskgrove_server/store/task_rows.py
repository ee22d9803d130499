"""Reads and changes the rows of tasks, within whatever transaction there is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from peewee import JOIN, fn

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.store import models, rows
from taskgrove_server.store.writer import Changed


class RestedSince(Exception):
    """The task has not rested for as long as it had to be removed."""


def joined() -> Any:
    """Returns a query for tasks together with their worktrees."""
    return models.Task.select(models.Task, models.Worktree).join(
        models.Worktree, JOIN.LEFT_OUTER, on=(models.Worktree.task_id == models.Task.id), attr="worktree"
    )


def get(task_id: TaskId) -> Task:
    """Returns a task. Raises TaskNotFound."""
    row = joined().where(models.Task.id == task_id).first()
    if row is None:
        raise errors.TaskNotFound(task_id)
    return rows.to_task(row, getattr(row, "worktree", None))


def update(changed: Changed, task_id: TaskId, **values: Any) -> None:
    """Changes columns of a task, and notes that it has changed."""
    values["update_time"] = rows.from_time(clock.now())
    models.Task.update(values).where(models.Task.id == task_id).execute()
    changed.tasks.add(task_id)


def check_rested(task: Task, before: datetime | None) -> None:
    """Raises RestedSince unless a task came to rest before that; None means whenever it did."""
    if before is not None and (task.finish_time is None or task.finish_time >= before):
        raise RestedSince


def end_of_queue() -> int:
    """Returns the place behind all that wait."""
    return (models.Task.select(fn.MAX(models.Task.queue_order)).scalar() or 0) + 1
