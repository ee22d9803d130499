"""What the runner does to tasks: claims them for slots, and brings them to rest."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from peewee import SQL

from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.store import events, models, rows, task_rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Which tasks a slot may take. To the letter the condition of the index task_queue, with no parameter in it:
#: otherwise SQLite does not use the index.
CLAIMABLE = SQL("state = 'queued' AND slot IS NULL")


class Slots:
    """The tasks from a claim to their rest. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def claim(self, slot: int) -> Future[Task | None]:
        """Gives the slot to the task that waits longest; None when none waits."""

        def change(changed: Changed) -> Task | None:
            query = models.Task.select(models.Task.id).where(CLAIMABLE).order_by(models.Task.queue_order)
            row = query.first()
            if row is None:
                return None
            task_rows.update(changed, TaskId(row.id), slot=slot)
            return task_rows.get(TaskId(row.id))

        return self._writer.submit(change)

    def reclaim(self, task_id: TaskId, slot: int) -> Future[Task]:
        """Gives a slot of this server to a task that a slot of an earlier server held."""

        def change(changed: Changed) -> Task:
            task_rows.update(changed, task_id, slot=slot)
            return task_rows.get(task_id)

        return self._writer.submit(change)

    def requeue(self, task_id: TaskId) -> Future[Task]:
        """Takes a task that holds a slot but has nothing running back to its place in the queue.

        One that was cancelled meanwhile rests instead.
        """

        def change(changed: Changed) -> Task:
            if task_rows.get(task_id).cancel_requested:
                return _rest(changed, task_id, TaskState.CANCELLED)
            task_rows.update(changed, task_id, state=TaskState.QUEUED.value, slot=None, start_time=None)
            task = task_rows.get(task_id)
            events.record(changed, EventKind.TASK_QUEUED, task)
            return task

        return self._writer.submit(change)

    def settle(self, task_id: TaskId) -> Future[bool]:
        """Shuts the door to Cancel after the agent's success; False when a cancel came first.

        This is the one place where the race between a success and a cancel is decided.
        """

        def change(changed: Changed) -> bool:
            task = task_rows.get(task_id)
            if task.cancel_requested:
                return False
            task_rows.update(changed, task_id, settling=True)
            return True

        return self._writer.submit(change)

    def rest(
        self,
        task_id: TaskId,
        state: TaskState,
        *,
        result: str | None = None,
        failure: Failure | None = None,
        head_commit: str | None = None,
    ) -> Future[Task]:
        """Writes the terminal state, and frees the slot. Once only: on a task at rest it changes nothing.

        A cancel that was accepted wins over whatever `state` says.
        """

        def change(changed: Changed) -> Task:
            return _rest(changed, task_id, state, result=result, failure=failure, head_commit=head_commit)

        return self._writer.submit(change)

    @reading()
    def waiting(self, most: int) -> int:
        """Counts the tasks that wait for a slot, up to `most`."""
        some = models.Task.select(models.Task.sequence).where(CLAIMABLE).limit(most)
        found: int = some.count()
        return found

    @reading()
    def cancelled(self, task_ids: Iterable[TaskId]) -> list[TaskId]:
        """Returns which of these tasks are to be cancelled."""
        query = models.Task.select(models.Task.id).where(
            models.Task.id.in_(list(task_ids)), models.Task.cancel_requested
        )
        return [TaskId(row.id) for row in query]

    @reading()
    def holding(self) -> list[Task]:
        """Returns the tasks that hold a slot, which after a restart are those to be taken up again."""
        query = task_rows.joined().where(models.Task.slot.is_null(False)).order_by(models.Task.queue_order)
        return [rows.to_task(row, getattr(row, "worktree", None)) for row in query]


def _rest(
    changed: Changed,
    task_id: TaskId,
    state: TaskState,
    *,
    result: str | None = None,
    failure: Failure | None = None,
    head_commit: str | None = None,
) -> Task:
    task = task_rows.get(task_id)
    if task.state.rests:
        return task
    cancelled = task.cancel_requested and not task.settling
    values: dict[str, Any] = {
        "state": (TaskState.CANCELLED if cancelled else state).value,
        "failure": None if cancelled else rows.from_failure(failure),
        "slot": None,
        "settling": False,
        "next_prompt": None,
        "restart": False,
        "finish_time": rows.end_time(task.start_time),
    }
    if state is TaskState.SUCCEEDED and not cancelled:
        values["result"] = result
    task_rows.update(changed, task_id, **values)
    if head_commit is not None:
        models.Worktree.update(head_commit=head_commit).where(models.Worktree.task_id == task_id).execute()
    task = task_rows.get(task_id)
    if head_commit is not None:
        events.record(changed, EventKind.WORKTREE_UPDATED, task)
    events.record(changed, EventKind.TASK_FINISHED, task)
    return task
