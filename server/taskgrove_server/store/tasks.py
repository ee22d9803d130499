"""What callers ask of tasks. Every change of state is one guarded statement in one short transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import Task, TaskEdit, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.store import (
    events,
    holds,
    listing,
    models,
    obsolete_files,
    requests,
    rows,
    runs,
    task_lists,
    task_rows,
    worktrees,
)
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.writer import Changed, Writer

#: A part of a listing: tasks with their places in it.
Page = list[tuple[listing.Place, Task]]


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

    def enqueue(
        self, task: Task, request: RequestKey | None = None, check: Callable[[TaskList], None] | None = None
    ) -> Future[Task]:
        """Adds a task to the queue, or returns the one that the same request added.

        Raises TaskListNotFound and RequestIdReused, and what `check` raises for a task of its list as that is then.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return task_rows.get(TaskId(known))
            task_list = task_lists.find(task.task_list_id)
            if check is not None:
                check(task_list)
            task_rows.add(task)
            requests.record(request, task.id)
            events.record(changed, EventKind.TASK_QUEUED, task)
            return task

        return self._writer.submit(change)

    def continue_(self, task_id: TaskId, prompt: str, request: RequestKey | None = None) -> Future[Task]:
        """Takes a resting task back to the queue.

        Raises TaskNotFound, TaskActive, NoPreviousRun, SessionMissing, TaskListDeleted, WorktreeBusy and
        RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return task_rows.get(TaskId(known))
            task = task_rows.get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            if task.run_count == 0:
                raise errors.NoPreviousRun(task_id)
            if runs.resumable(task_id) is None:
                raise errors.SessionMissing(task_id)
            return _queue_again(changed, task, request, next_prompt=prompt)

        return self._writer.submit(change)

    def retry(self, task_id: TaskId, request: RequestKey | None = None) -> Future[Task]:
        """Takes a resting task back to the queue, to be done from the start.

        Raises TaskNotFound, TaskActive, TaskListDeleted, WorktreeBusy and RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return task_rows.get(TaskId(known))
            task = task_rows.get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            return _queue_again(changed, task, request, next_prompt=None, restart=True)

        return self._writer.submit(change)

    def delete(
        self,
        task_id: TaskId,
        request: RequestKey | None = None,
        answer: bytes | None = None,
        rested_before: datetime | None = None,
    ) -> Future[list[str]]:
        """Removes a resting task with its runs, and returns the names of its logs, which are noted as obsolete.

        Notes what is answered to the request. Raises TaskNotFound, TaskActive, WorktreeBusy, RequestIdReused, and
        RestedSince unless the task came to rest before `rested_before`.
        """

        def change(changed: Changed) -> list[str]:
            if requests.earlier(request):
                return []
            task = task_rows.get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            task_rows.check_rested(task, rested_before)
            worktrees.check_idle(task_id)
            kept = models.Run.select(models.Run.number).where(models.Run.task_id == task_id, ~models.Run.log_removed)
            names = obsolete_files.record([task_id], [(task_id, row.number) for row in kept])
            models.Run.delete().where(models.Run.task_id == task_id).execute()
            models.Worktree.delete().where(models.Worktree.task_id == task_id).execute()
            models.Task.delete().where(models.Task.id == task_id).execute()
            requests.record(request, task_id, answer)
            events.record(changed, EventKind.TASK_DELETED, task)
            return names

        return self._writer.submit(change)

    def cancel(self, task_id: TaskId, request: RequestKey | None = None) -> Future[tuple[Task, Cancelled]]:
        """Cancels a task that waits, marks one that runs. Raises TaskNotFound and RequestIdReused."""

        def change(changed: Changed) -> tuple[Task, Cancelled]:
            if known := requests.earlier(request):
                task = task_rows.get(TaskId(known))
                stopping = task.cancel_requested and not task.state.rests
                return task, Cancelled.STOPPING if stopping else Cancelled.ALREADY_RESTED
            outcome = _standing(task_rows.get(task_id))
            if outcome is Cancelled.AT_ONCE:
                task_rows.update(
                    changed,
                    task_id,
                    state=TaskState.CANCELLED.value,
                    cancel_requested=True,
                    next_prompt=None,
                    restart=False,
                    hold_count=0,
                    hold_time=None,
                    finish_time=rows.from_time(clock.now()),
                )
                holds.end_of(changed, task_id)
            elif outcome is Cancelled.STOPPING:
                task_rows.update(changed, task_id, cancel_requested=True)
            requests.record(request, task_id)
            task = task_rows.get(task_id)
            if outcome is Cancelled.AT_ONCE:
                events.record(changed, EventKind.TASK_FINISHED, task)
            elif outcome is Cancelled.STOPPING:
                events.record(changed, EventKind.TASK_UPDATED, task)
            return task, outcome

        return self._writer.submit(change)

    def update(self, task_id: TaskId, edit: TaskEdit, etag: str, request: RequestKey | None = None) -> Future[Task]:
        """Changes what the agent of a task that waits will be told; `etag` empty means whatever the task is by now.

        Raises TaskNotFound, EtagMismatch, TaskNotQueued and RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return task_rows.get(TaskId(known))
            task = _get_for_update(task_id, etag)
            if task.state is not TaskState.QUEUED or task.slot is not None:
                raise errors.TaskNotQueued(task_id, task.state)
            values: dict[str, Any] = {}
            if edit.title is not None:
                values["title"] = edit.title
            if edit.description is not None:
                values["description"] = edit.description
            if edit.subtasks is not None:
                values["subtasks"] = rows.from_subtasks(edit.subtasks)
            if edit.overrides is not None:
                values["overrides"] = rows.from_config(edit.overrides)
            return _edit(changed, task_id, request, **values)

        return self._writer.submit(change)

    def tick(
        self, task_id: TaskId, number: int, etag: str, *, completed: bool, request: RequestKey | None = None
    ) -> Future[Task]:
        """Marks a subtask, counted from 1, as completed or not; `etag` as for `update`.

        Raises TaskNotFound, EtagMismatch, SubtaskNotFound and RequestIdReused.
        """

        def change(changed: Changed) -> Task:
            if known := requests.earlier(request):
                return task_rows.get(TaskId(known))
            task = _get_for_update(task_id, etag)
            if not 1 <= number <= len(task.subtasks):
                raise errors.SubtaskNotFound(task_id, number)
            subtasks = list(task.subtasks)
            subtasks[number - 1] = replace(subtasks[number - 1], completed=completed)
            return _edit(changed, task_id, request, subtasks=rows.from_subtasks(tuple(subtasks)))

        return self._writer.submit(change)

    @reading()
    def get(self, task_id: TaskId) -> Task:
        """Returns a task. Raises TaskNotFound."""
        return task_rows.get(task_id)

    @reading()
    def page(self, wanted: TaskFilter, order: Order, after: listing.Place | None, size: int) -> Page:
        """Returns up to `size` tasks with their places, from behind the place `after`."""
        with models.moment():
            places = listing.page(wanted, order, after, size)
            tasks = task_rows.those(task_id for _, task_id in places)
        return [(place, tasks[task_id]) for place, task_id in places]

    @contextlib.contextmanager
    def moment(self) -> Generator[None]:
        """Has all that the calling thread reads within it be of one moment."""
        with reading(), models.moment():
            yield

    def places(
        self, wanted: TaskFilter, order: Order, after: listing.Place | None, size: int
    ) -> list[tuple[listing.Place, TaskId]]:
        """As `page`, but returns the ids of the tasks. Belongs into a moment."""
        return listing.page(wanted, order, after, size)

    def those(self, task_ids: Iterable[TaskId]) -> dict[TaskId, Task]:
        """Returns those of the tasks that there are. Belongs into a moment."""
        return task_rows.those(task_ids)


def _queue_again(changed: Changed, task: Task, request: RequestKey | None, **values: Any) -> Task:
    if not models.TaskList.select().where(models.TaskList.id == task.task_list_id).exists():
        raise errors.TaskListDeleted(task.id, task.task_list_id)
    worktrees.check_idle(task.id)
    obsolete_files.keep_setup_log(task.id)
    task_rows.update(
        changed,
        task.id,
        state=TaskState.QUEUED.value,
        queue_order=task_rows.end_of_queue(),
        cancel_requested=False,
        settling=False,
        failure=None,
        finish_time=None,
        has_logs=True,
        **values,
    )
    requests.record(request, task.id)
    queued = task_rows.get(task.id)
    events.record(changed, EventKind.TASK_QUEUED, queued)
    return queued


def _edit(changed: Changed, task_id: TaskId, request: RequestKey | None, **values: Any) -> Task:
    task_rows.update(changed, task_id, **values)
    requests.record(request, task_id)
    task = task_rows.get(task_id)
    events.record(changed, EventKind.TASK_UPDATED, task)
    return task


def _get_for_update(task_id: TaskId, etag: str) -> Task:
    task = task_rows.get(task_id)
    if etag and etag != task.etag:
        raise errors.EtagMismatch(f"Task {task_id}", task.etag)
    return task


def _standing(task: Task) -> Cancelled:
    """Returns what a cancel does, or has done, to a task as it is."""
    if task.state.rests:
        return Cancelled.ALREADY_RESTED
    if task.settling:
        return Cancelled.TOO_LATE
    return Cancelled.AT_ONCE if task.slot is None else Cancelled.STOPPING
