"""The feed of events. Each is stored in the transaction of what it tells of, so that none is lost or made up.

Sequences have no gaps: one thread makes all changes, and SQLite takes a number back that was given in a transaction
that is undone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import peewee
from peewee import fn

from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.event import Event, EventBounds, EventFilter, EventKind, EventPage
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.hold import Hold
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.store import models, rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Events in a page: with the longest titles and paths they stay well below the 4 MiB that a default client takes.
PAGE = 200

#: Characters of details after which a page ends: what is told of a repository may be long.
_LONGEST = 1 << 19

#: Events that one transaction removes.
_SLICE = 10_000

_ADD = "INSERT INTO event (kind, task_id, task_list_id, create_time, detail) VALUES (?, ?, ?, ?, ?)"


class Events:
    """The stored events. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer, database: peewee.SqliteDatabase) -> None:
        self._writer = writer
        self._database = database

    @reading()
    def bounds(self) -> EventBounds:
        """Returns which events there are."""
        with self._database.atomic():
            return _bounds()

    @reading()
    def page(self, after: int, wanted: EventFilter) -> EventPage:
        """Returns the next wanted events behind the sequence `after`.

        Raises EventsTrimmed when events behind it are no longer kept.
        """
        # One transaction, which is one moment: a trim between two statements would take events away unnoticed.
        with self._database.atomic():
            bounds = _bounds()
            if after + 1 < bounds.first:
                raise errors.EventsTrimmed(after, bounds.first, bounds.last)
            matches = [models.Event.sequence > after, models.Event.sequence <= bounds.last]
            if wanted.task_list_ids:
                matches.append(models.Event.task_list_id.in_(list(wanted.task_list_ids)))
            if wanted.kinds:
                matches.append(models.Event.kind.in_([kind.value for kind in wanted.kinds]))
            query = models.Event.select().where(*matches).order_by(models.Event.sequence).limit(PAGE)
            events: list[Event] = []
            room = _LONGEST
            for row in query:
                events.append(_to_event(row))
                room -= len(row.detail)
                if room < 0:
                    break
            full = len(events) == PAGE or room < 0
            return EventPage(tuple(events), events[-1].sequence if full else max(after, bounds.last), full)

    def trim(self, retention: timedelta, most: int) -> Future[int]:
        """Removes some of the events that are older than `retention`, or more than `most`; returns how many.

        The newest stays whatever its age, so that its sequence is never given again. Fewer than asked for are
        removed at a time, for others wait meanwhile: 0 tells that all is done.
        """
        oldest = rows.from_time(clock.now() - retention)

        def change(_changed: Changed) -> int:
            bounds = _bounds()
            head = models.Event.select(models.Event.sequence, models.Event.create_time)
            last = bounds.first - 1
            for row in head.order_by(models.Event.sequence).limit(_SLICE):
                if row.sequence == bounds.last or (row.create_time >= oldest and bounds.last - row.sequence < most):
                    break
                last = row.sequence
            removed: int = models.Event.delete().where(models.Event.sequence <= last).execute()
            return removed

        return self._writer.submit(change)


def record(
    changed: Changed,
    kind: EventKind,
    task: Task,
    *,
    run_number: int | None = None,
    is_retry: bool = False,
    repository_changes: Sequence[str] = (),
) -> None:
    """Stores that something happened to a task, which is as it is afterwards. Belongs into the same transaction."""
    detail: dict[str, Any] = {"task_title": task.title, "task_state": task.state.value}
    if kind in (EventKind.TASK_STARTED, EventKind.RUN_CREATED):
        detail["slot"] = task.slot
    if kind is EventKind.RUN_CREATED:
        detail |= {"run_number": run_number, "is_retry": is_retry}
    if kind is EventKind.REPOSITORY_CHANGED:
        detail |= {"run_number": run_number, "repository_changes": repository_changes}
    if kind is EventKind.WORKTREE_UPDATED and task.worktree is not None:
        detail["worktree"] = rows.from_worktree(task.worktree)
    if kind is EventKind.TASK_FINISHED and task.failure is not None:
        detail["failure_kind"] = task.failure.kind.value
    _add(kind, task.id, task.task_list_id, detail)
    changed.tasks.add(task.id)


def record_hold(changed: Changed, kind: EventKind, hold: Hold) -> None:
    """Stores that a hold began or ended. Belongs into the same transaction."""
    _add(kind, "", "", {"hold": rows.from_hold(hold)})
    changed.holds = True


def _add(kind: EventKind, task_id: str, task_list_id: str, detail: dict[str, Any]) -> None:
    now = rows.from_time(clock.now())
    models.run(_ADD, kind.value, task_id, task_list_id, now, json.dumps(detail, ensure_ascii=False))


def _bounds() -> EventBounds:
    first = models.Event.select(fn.MIN(models.Event.sequence)).scalar()
    if first is None:
        return EventBounds()
    return EventBounds(first, models.Event.select(fn.MAX(models.Event.sequence)).scalar())


def _to_event(row: models.Event) -> Event:
    detail: dict[str, Any] = json.loads(row.detail)
    failure_kind = detail.get("failure_kind")
    return Event(
        sequence=row.sequence,
        kind=EventKind(row.kind),
        task_id=ids.TaskId(row.task_id),
        task_list_id=ids.TaskListId(row.task_list_id),
        create_time=rows.to_time(row.create_time),
        task_title=detail.get("task_title", ""),
        task_state=TaskState(detail["task_state"]) if "task_state" in detail else None,
        slot=detail.get("slot"),
        run_number=detail.get("run_number"),
        is_retry=detail.get("is_retry", False),
        worktree=rows.worktree_from(detail["worktree"]) if "worktree" in detail else None,
        failure_kind=FailureKind(failure_kind) if failure_kind else None,
        repository_changes=tuple(detail.get("repository_changes", ())),
        hold=rows.to_hold(detail["hold"]) if "hold" in detail else None,
    )
