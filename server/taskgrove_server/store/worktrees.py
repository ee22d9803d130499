"""Queries about the worktrees of resting tasks.

While a call works on a worktree, its row says so: no second call begins, and the task is not continued. A server that
is killed meanwhile leaves the note for the next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from taskgrove_server.domain import errors
from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import RESTING, Task
from taskgrove_server.domain.worktree import Landing, Worktree, WorktreeState
from taskgrove_server.store import events, models, requests, rows, task_rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.writer import Changed, Writer


class OperationKind(StrEnum):
    """What a call does to a worktree."""

    LANDING = "landing"
    PUSHING = "pushing"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call was about to do when it was noted."""

    kind: OperationKind
    #: What is recorded once the target branch has `landing.commit`; None until that commit is made.
    landing: Landing | None = None
    request: RequestKey | None = None


class Worktrees:
    """The stored worktrees. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def begin(self, task_id: TaskId, operation: Operation, rested_before: datetime | None = None) -> Future[Task]:
        """Notes that a call begins.

        Raises TaskNotFound, TaskActive, NoWorktree, WorktreeBusy, RequestIdReused, and RestedSince unless the task came
        to rest before `rested_before`.
        """

        def change(_changed: Changed) -> Task:
            if requests.earlier(operation.request):
                # The same call, which has ended just now: asked once more, it is told what came of it.
                raise errors.WorktreeBusy(task_id)
            task = task_rows.get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            task_rows.check_rested(task, rested_before)
            if task.worktree is None:
                raise errors.NoWorktree(task_id)
            check_idle(task_id)
            _note(task_id, operation)
            return task

        return self._writer.submit(change)

    def note(self, task_id: TaskId, operation: Operation) -> Future[None]:
        """Notes how far the call has come."""
        return self._writer.submit(lambda _changed: _note(task_id, operation))

    def leave(self, task_id: TaskId) -> Future[None]:
        """Notes that the call has ended, and changed nothing."""
        return self._writer.submit(lambda _changed: _update(task_id, operation=None))

    def landed(self, task_id: TaskId, landing: Landing, request: RequestKey | None) -> Future[Task]:
        """Records a landing, and that its call has ended."""

        def change(changed: Changed) -> Task:
            _update(task_id, operation=None, landing=rows.from_landing(landing))
            requests.record(request, task_id)
            return _changed_worktree(changed, task_id)

        return self._writer.submit(change)

    def committed(self, task_id: TaskId, head_commit: str) -> Future[Task]:
        """Records what the call has committed; it goes on."""

        def change(changed: Changed) -> Task:
            _update(task_id, head_commit=head_commit)
            return _changed_worktree(changed, task_id)

        return self._writer.submit(change)

    def saved(self, task_id: TaskId, saved_ref: str) -> Future[None]:
        """Records where the work was saved, before anything is removed; the call goes on."""

        def change(changed: Changed) -> None:
            _update(task_id, saved_ref=saved_ref)
            changed.tasks.add(task_id)

        return self._writer.submit(change)

    def replace(self, task_id: TaskId, worktree: Worktree) -> Future[Task]:
        """Records what takes the place of a worktree that is another's, and that no call works on it."""

        def change(changed: Changed) -> Task:
            _update(task_id, operation=None, **rows.from_worktree(worktree))
            return _changed_worktree(changed, task_id)

        return self._writer.submit(change)

    def removed(
        self,
        task_id: TaskId,
        state: WorktreeState,
        saved_ref: str | None,
        request: RequestKey | None = None,
        answer: bytes | None = None,
    ) -> Future[Task]:
        """Records that a worktree was removed, what its call answers, and that it has ended."""

        def change(changed: Changed) -> Task:
            _update(task_id, operation=None, state=state.value, saved_ref=saved_ref)
            requests.record(request, task_id, answer)
            return _changed_worktree(changed, task_id)

        return self._writer.submit(change)

    @reading()
    def operation(self, task_id: TaskId) -> tuple[Task, Operation] | None:
        """Returns the task and what was noted of its worktree, None when nothing is."""
        row = models.Worktree.get_or_none(models.Worktree.task_id == task_id, models.Worktree.operation.is_null(False))
        return None if row is None else (task_rows.get(task_id), _to_operation(row.operation or ""))

    @reading()
    def in_operation(self) -> list[TaskId]:
        """Returns the tasks of whose worktrees something is noted."""
        query = models.Worktree.select(models.Worktree.task_id).where(models.Worktree.operation.is_null(False))
        return [TaskId(row.task_id) for row in query]

    @reading()
    def resting(self, task_list_id: TaskListId, after: int, size: int) -> list[tuple[int, Task]]:
        """Returns up to `size` resting tasks of a list whose worktrees are present, oldest first.

        They come with their sequences, from above the sequence `after`.
        """
        return _page(
            size,
            models.Task.task_list_id == task_list_id,
            models.Task.sequence > after,
            models.Task.state.in_([state.value for state in RESTING]),
            models.Worktree.state == WorktreeState.PRESENT.value,
        )

    @reading()
    def page(self, after: int, size: int) -> list[tuple[int, Task]]:
        """Returns up to `size` tasks that have had a worktree, as `resting` does."""
        return _page(size, models.Task.sequence > after, models.Worktree.task_id.is_null(False))


def _page(size: int, *wanted: Any) -> list[tuple[int, Task]]:
    query = (
        models.Task.select(models.Task.sequence, models.Task.id)
        .join(models.Worktree, on=(models.Worktree.task_id == models.Task.id))
        .where(*wanted)
    )
    rows_found: Any = query.order_by(models.Task.sequence).limit(size).tuples()
    found: list[tuple[int, TaskId]] = list(rows_found)
    tasks = task_rows.those(task_id for _, task_id in found)
    return [(sequence, tasks[task_id]) for sequence, task_id in found if task_id in tasks]


def check_idle(task_id: TaskId) -> None:
    """Raises WorktreeBusy while a call works on the task's worktree. Belongs into the transaction of a change."""
    row = models.Worktree.get_or_none(models.Worktree.task_id == task_id)
    if row is not None and row.operation is not None:
        raise errors.WorktreeBusy(task_id)


def _note(task_id: TaskId, operation: Operation) -> None:
    request = operation.request
    values: Mapping[str, Any] = {
        "kind": operation.kind.value,
        "landing": rows.from_landing(operation.landing) if operation.landing else None,
        "request": [request.id, request.method, request.fingerprint] if request else None,
    }
    _update(task_id, operation=json.dumps(values))


def _to_operation(text: str) -> Operation:
    values: dict[str, Any] = json.loads(text)
    return Operation(
        OperationKind(values["kind"]),
        rows.to_landing(values["landing"]) if values["landing"] else None,
        RequestKey(*values["request"]) if values["request"] else None,
    )


def _update(task_id: TaskId, **values: Any) -> None:
    models.change("worktree", values, "task_id = ?", task_id)


def _changed_worktree(changed: Changed, task_id: TaskId) -> Task:
    task_rows.update(changed, task_id)
    task = task_rows.get(task_id)
    events.record(changed, EventKind.WORKTREE_UPDATED, task)
    return task
