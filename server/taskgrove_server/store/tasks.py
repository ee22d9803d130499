"""Queries about tasks. Every change of state is one guarded statement in one short transaction."""

from __future__ import annotations

import functools
from collections.abc import Collection
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any

from peewee import JOIN, SQL, fn

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.store import models, requests, rows, runs
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.writer import Changed, Writer

#: Which tasks a slot may take. To the letter the condition of the index task_queue, with no parameter in it:
#: otherwise SQLite does not use the index.
CLAIMABLE = SQL("state = 'queued' AND slot IS NULL")


class Cancelled(Enum):
    """What came of a cancel."""

    AT_ONCE = auto()
    STOPPING = auto()
    TOO_LATE = auto()
    ALREADY_RESTED = auto()


class Tasks:
    """The stored tasks. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def enqueue(self, task: Task, request: RequestKey | None = None) -> Future[Task]:
        """Adds a task to the queue, or returns the one that the same request added.

        Raises TaskListNotFound and RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return _get(TaskId(known))
            if not models.TaskList.select().where(models.TaskList.id == task.task_list_id).exists():
                raise errors.TaskListNotFound(task.task_list_id)
            models.Task.create(
                id=task.id,
                task_list_id=task.task_list_id,
                title=task.title,
                description=task.description,
                subtasks=rows.from_subtasks(task.subtasks),
                overrides=rows.from_config(task.overrides),
                state=TaskState.QUEUED.value,
                queue_order=_end_of_queue(),
                create_time=rows.from_time(task.create_time),
                update_time=rows.from_time(task.update_time),
            )
            requests.record(request, task.id)
            changed.tasks.add(task.id)
            return task

        return self._writer.submit(change)

    def continue_(self, task_id: TaskId, prompt: str, request: RequestKey | None = None) -> Future[Task]:
        """Takes a resting task back to the queue.

        Raises TaskNotFound, TaskActive, NoPreviousRun, SessionMissing, TaskListDeleted and RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return _get(TaskId(known))
            task = _get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            if task.run_count == 0:
                raise errors.NoPreviousRun(task_id)
            if runs.resumable(task_id) is None:
                raise errors.SessionMissing(task_id)
            if not models.TaskList.select().where(models.TaskList.id == task.task_list_id).exists():
                raise errors.TaskListDeleted(task_id, task.task_list_id)
            _update(
                changed,
                task_id,
                state=TaskState.QUEUED.value,
                queue_order=_end_of_queue(),
                next_prompt=prompt,
                cancel_requested=False,
                settling=False,
                failure=None,
                finish_time=None,
            )
            requests.record(request, task_id)
            return _get(task_id)

        return self._writer.submit(change)

    def cancel(self, task_id: TaskId, request: RequestKey | None = None) -> Future[tuple[Task, Cancelled]]:
        """Cancels a task that waits, marks one that runs. Raises TaskNotFound and RequestIdReused."""

        def change(changed: Changed) -> tuple[Task, Cancelled]:
            if known := requests.earlier(request):
                task = _get(TaskId(known))
                stopping = task.cancel_requested and not task.state.rests
                return task, Cancelled.STOPPING if stopping else Cancelled.ALREADY_RESTED
            outcome = _standing(_get(task_id))
            if outcome is Cancelled.AT_ONCE:
                _update(
                    changed,
                    task_id,
                    state=TaskState.CANCELLED.value,
                    cancel_requested=True,
                    next_prompt=None,
                    finish_time=rows.from_time(clock.now()),
                )
            elif outcome is Cancelled.STOPPING:
                _update(changed, task_id, cancel_requested=True)
            requests.record(request, task_id)
            return _get(task_id), outcome

        return self._writer.submit(change)

    def claim(self, slot: int) -> Future[Task | None]:
        """Gives the slot to the task that waits longest; None when none waits."""

        def change(changed: Changed) -> Task | None:
            query = models.Task.select(models.Task.id).where(CLAIMABLE).order_by(models.Task.queue_order)
            row = query.first()
            if row is None:
                return None
            _update(changed, TaskId(row.id), slot=slot)
            return _get(TaskId(row.id))

        return self._writer.submit(change)

    def reclaim(self, task_id: TaskId, slot: int) -> Future[Task]:
        """Gives a slot of this server to a task that a slot of an earlier server held."""

        def change(changed: Changed) -> Task:
            _update(changed, task_id, slot=slot)
            return _get(task_id)

        return self._writer.submit(change)

    def requeue(self, task_id: TaskId) -> Future[Task]:
        """Takes a task that holds a slot but has nothing running back to its place in the queue.

        One that was cancelled meanwhile rests instead.
        """

        def change(changed: Changed) -> Task:
            if _get(task_id).cancel_requested:
                return _rest(changed, task_id, TaskState.CANCELLED)
            _update(changed, task_id, state=TaskState.QUEUED.value, slot=None, start_time=None)
            return _get(task_id)

        return self._writer.submit(change)

    def settle(self, task_id: TaskId) -> Future[bool]:
        """Shuts the door to Cancel after the agent's success; False when a cancel came first.

        This is the one place where the race between a success and a cancel is decided.
        """

        def change(changed: Changed) -> bool:
            task = _get(task_id)
            if task.cancel_requested:
                return False
            _update(changed, task_id, settling=True)
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
    def get(self, task_id: TaskId) -> Task:
        """Returns a task. Raises TaskNotFound."""
        return _get(task_id)

    @reading()
    def page(
        self,
        before: int | None,
        size: int,
        task_list_id: TaskListId | None,
        states: Collection[TaskState],
    ) -> list[tuple[int, Task]]:
        """Returns up to `size` tasks with their sequences, the newest first, from below the sequence `before`."""
        matches = [models.Task.sequence < before] if before is not None else []
        if task_list_id is not None:
            matches.append(models.Task.task_list_id == task_list_id)
        query = _joined().order_by(models.Task.sequence.desc()).limit(size)
        if len(states) > 1:
            query = query.where(models.Task.sequence.in_(_newest(matches, states, size)))
        elif filters := [*matches, *(models.Task.state == state.value for state in states)]:
            query = query.where(*filters)
        return [(row.sequence, rows.to_task(row, getattr(row, "worktree", None))) for row in query]

    @reading()
    def holding_slots(self) -> list[Task]:
        """Returns the tasks that hold a slot, which after a restart are those to be taken up again."""
        query = _joined().where(models.Task.slot.is_null(False)).order_by(models.Task.queue_order)
        return [rows.to_task(row, getattr(row, "worktree", None)) for row in query]


def _newest(matches: Collection[Any], states: Collection[TaskState], size: int) -> Any:
    """Returns a query for the sequences of the newest `size` tasks in each of the states.

    Asked for one state at a time, SQLite finds them in an index; asked for several, it reads on through the
    history until it has enough.
    """
    parts = [
        models.Task.select(models.Task.sequence)
        .where(*matches, models.Task.state == state.value)
        .order_by(models.Task.sequence.desc())
        .limit(size)
        for state in states
    ]
    # SQLite takes no limit within a union but in a subquery.
    wrapped: list[Any] = [part.select_from(part.c.sequence) for part in parts]
    return functools.reduce(lambda union, part: union + part, wrapped)


def _standing(task: Task) -> Cancelled:
    """Returns what a cancel does, or has done, to a task as it is."""
    if task.state.rests:
        return Cancelled.ALREADY_RESTED
    if task.settling:
        return Cancelled.TOO_LATE
    return Cancelled.AT_ONCE if task.slot is None else Cancelled.STOPPING


def _rest(
    changed: Changed,
    task_id: TaskId,
    state: TaskState,
    *,
    result: str | None = None,
    failure: Failure | None = None,
    head_commit: str | None = None,
) -> Task:
    task = _get(task_id)
    if task.state.rests:
        return task
    cancelled = task.cancel_requested and not task.settling
    values: dict[str, Any] = {
        "state": (TaskState.CANCELLED if cancelled else state).value,
        "failure": None if cancelled else rows.from_failure(failure),
        "slot": None,
        "settling": False,
        "next_prompt": None,
        "finish_time": rows.end_time(task.start_time),
    }
    if state is TaskState.SUCCEEDED and not cancelled:
        values["result"] = result
    _update(changed, task_id, **values)
    if head_commit is not None:
        models.Worktree.update(head_commit=head_commit).where(models.Worktree.task_id == task_id).execute()
    return _get(task_id)


def _joined() -> Any:
    return models.Task.select(models.Task, models.Worktree).join(
        models.Worktree, JOIN.LEFT_OUTER, on=(models.Worktree.task_id == models.Task.id), attr="worktree"
    )


def _get(task_id: TaskId) -> Task:
    row = _joined().where(models.Task.id == task_id).first()
    if row is None:
        raise errors.TaskNotFound(task_id)
    return rows.to_task(row, getattr(row, "worktree", None))


def _update(changed: Changed, task_id: TaskId, **values: Any) -> None:
    values["update_time"] = rows.from_time(clock.now())
    models.Task.update(values).where(models.Task.id == task_id).execute()
    changed.tasks.add(task_id)


def _end_of_queue() -> int:
    return (models.Task.select(fn.MAX(models.Task.queue_order)).scalar() or 0) + 1
