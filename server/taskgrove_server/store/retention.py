"""What has rested for so long that it is due to be removed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from peewee import SQL, Tuple

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.store import models, obsolete_files, rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Which tasks may have logs. To the letter the condition of the index task_with_logs, with no parameter in it:
#: otherwise SQLite does not use the index.
WITH_LOGS = SQL("finish_time IS NOT NULL AND has_logs = 1")

#: A place in the order in which tasks came to rest: (microseconds since 1970, sequence).
Place = tuple[int, int]

#: Before all that there is.
START: Place = (-(2**63), 0)


class Retention:
    """Finds tasks by when they came to rest. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @reading()
    def tasks(self, rested_before: datetime, after: Place, size: int) -> list[tuple[Place, TaskId]]:
        """Returns up to `size` tasks that came to rest before, those first that did long ago, from behind a place."""
        return _page([], rested_before, after, size)

    @reading()
    def with_logs(self, rested_before: datetime, after: Place, size: int) -> list[tuple[Place, TaskId]]:
        """As `tasks`, but only those that may have logs."""
        return _page([WITH_LOGS], rested_before, after, size)

    @reading()
    def newest_change(self) -> datetime | None:
        """Returns when a task last changed; None when there is none."""
        row = models.Task.select(models.Task.update_time).order_by(models.Task.update_time.desc()).first()
        return None if row is None else rows.to_time(row.update_time)

    def remove_logs(self, task_ids: Sequence[TaskId], rested_before: datetime) -> Future[list[str]]:
        """Takes their logs from tasks, and returns the names of the files, which are noted as obsolete.

        Left alone is what has been continued since, or is being worked on by a call.
        """

        def change(changed: Changed) -> list[str]:
            task, run, worktree = models.Task, models.Run, models.Worktree
            busy = worktree.select(worktree.task_id).where(
                worktree.task_id.in_(list(task_ids)), worktree.operation.is_null(False)
            )
            due = task.select(task.id).where(
                task.id.in_(list(task_ids)), WITH_LOGS, task.finish_time < rows.from_time(rested_before)
            )
            found = [TaskId(row.id) for row in due.where(task.id.not_in(busy))]
            kept = run.select(run.task_id, run.number).where(run.task_id.in_(found), ~run.log_removed)
            names = obsolete_files.record(found, [(TaskId(row.task_id), row.number) for row in kept])
            run.update(log_removed=True).where(run.task_id.in_(found)).execute()
            worktree.update(setup_log_path=None).where(worktree.task_id.in_(found)).execute()
            # Nothing that its callers see of the task has changed: its place among those that last did stays.
            task.update(has_logs=False, removed_lines=task.last_line).where(task.id.in_(found)).execute()
            changed.tasks.update(found)
            return names

        return self._writer.submit(change)


def _page(matches: list[Any], rested_before: datetime, after: Place, size: int) -> list[tuple[Place, TaskId]]:
    task = models.Task
    key = Tuple(task.finish_time, task.sequence)
    query = (
        task.select(task.id, task.finish_time, task.sequence)
        .where(*matches, task.finish_time < rows.from_time(rested_before), key > after)
        .order_by(task.finish_time, task.sequence)
        .limit(size)
    )
    found: Any = query.dicts()
    return [((row["finish_time"], row["sequence"]), TaskId(row["id"])) for row in found]
