"""Finds a page of tasks, with time that does not grow with the history where there is an index for it."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime
from typing import Any

from peewee import SQL, NodeList, Tuple, fn

from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.store import models, rows, task_rows

#: A place in a listing: see domain.listing.Order.
Place = tuple[int, ...]


def page(wanted: TaskFilter, order: Order, after: Place | None, size: int) -> list[tuple[Place, Task]]:
    """Returns up to `size` tasks with their places, from behind the place `after`."""
    key = _key(order)
    matches = _matches(wanted)
    if after is not None:
        matches.append(_behind(key, order, after))
    query = task_rows.joined().order_by(*_directed(key, order)).limit(size)
    states = _states(wanted)
    if wanted.finished_before is not None:
        query = query.where(models.Task.sequence.in_(_finished(wanted, wanted.finished_before, order, after, size)))
    elif len(states) > 1 and order is not Order.LAST_CHANGED_FIRST:
        query = query.where(models.Task.sequence.in_(_first_of_each(matches, states, order, size)))
    else:
        if states:
            matches.append(models.Task.state.in_([state.value for state in states]))
        if matches:
            query = query.where(*matches)
    return [
        (tuple(getattr(row, column.name) for column in key), rows.to_task(row, getattr(row, "worktree", None)))
        for row in query
    ]


def scans(wanted: TaskFilter, order: Order) -> bool:
    """Tells whether a page may take time that grows with the history: no index has what is wanted."""
    sought = wanted.title_contains or wanted.created_after or wanted.created_before or wanted.failure_kinds
    # An index has those that came to rest before, and in another order: each page looks at all of them.
    return bool(sought or wanted.finished_before) or (bool(wanted.states) and order is Order.LAST_CHANGED_FIRST)


def _key(order: Order) -> tuple[Any, ...]:
    if order is Order.LAST_CHANGED_FIRST:
        return models.Task.update_time, models.Task.sequence
    return (models.Task.sequence,)


def _directed(key: tuple[Any, ...], order: Order) -> list[Any]:
    return [column.asc() if order is Order.OLDEST_FIRST else column.desc() for column in key]


def _behind(key: tuple[Any, ...], order: Order, after: Place) -> Any:
    if len(key) == 1:
        return key[0] > after[0] if order is Order.OLDEST_FIRST else key[0] < after[0]
    return Tuple(*key) < after


def _states(wanted: TaskFilter) -> frozenset[TaskState]:
    if wanted.failure_kinds:
        failed = frozenset({TaskState.FAILED})
        # With no state in common nothing matches; an impossible state finds that nothing.
        return failed if not wanted.states or TaskState.FAILED in wanted.states else wanted.states
    return wanted.states


def _matches(wanted: TaskFilter) -> list[Any]:
    task = models.Task
    matches: list[Any] = []
    if wanted.task_list_id is not None:
        matches.append(task.task_list_id == wanted.task_list_id)
    if wanted.title_contains:
        matches.append(task.title.contains(wanted.title_contains))
    if wanted.created_after is not None:
        matches.append(task.create_time >= rows.from_time(wanted.created_after))
    if wanted.created_before is not None:
        matches.append(task.create_time < rows.from_time(wanted.created_before))
    if wanted.failure_kinds:
        kinds = [kind.value for kind in wanted.failure_kinds]
        matches.append(fn.json_extract(task.failure, "$.kind").in_(kinds))
    return matches


def _finished(wanted: TaskFilter, before: datetime, order: Order, after: Place | None, size: int) -> Any:
    """Returns a query for the sequences of a page of tasks that came to rest before.

    With a plus before all other columns, SQLite takes the index of that: it would read on through the history in the
    order of the listing otherwise, until it had enough.
    """
    task = models.Task
    plain: dict[Any, Any] = {
        column: NodeList((SQL("+"), column))
        for column in (task.sequence, task.update_time, task.task_list_id, task.state)
    }
    key = tuple(plain[column] for column in _key(order))
    matches = [task.finish_time < rows.from_time(before), *_matches(replace(wanted, task_list_id=None))]
    if wanted.task_list_id is not None:
        matches.append(plain[task.task_list_id] == wanted.task_list_id)
    if states := _states(wanted):
        matches.append(plain[task.state].in_([state.value for state in states]))
    if after is not None:
        matches.append(_behind(key, order, after))
    return task.select(task.sequence).where(*matches).order_by(*_directed(key, order)).limit(size)


def _first_of_each(matches: list[Any], states: frozenset[TaskState], order: Order, size: int) -> Any:
    """Returns a query for the sequences of the first `size` tasks in each of the states.

    Asked for one state at a time, SQLite finds them in an index; asked for several, it reads on through the
    history until it has enough.
    """
    parts = [
        models.Task.select(models.Task.sequence)
        .where(*matches, models.Task.state == state.value)
        .order_by(*_directed((models.Task.sequence,), order))
        .limit(size)
        for state in states
    ]
    # SQLite takes no limit within a union but in a subquery.
    wrapped: list[Any] = [part.select_from(part.c.sequence) for part in parts]
    return functools.reduce(lambda union, part: union + part, wrapped)
