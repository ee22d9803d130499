"""Finds a page of tasks, with time that does not grow with the history where there is an index for it."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import TaskState
from taskgrove_server.store import models, rows

#: A place in a listing: see domain.listing.Order.
Place = tuple[int, ...]

_KEYS = {
    Order.NEWEST_FIRST: ("sequence", "DESC"),
    Order.OLDEST_FIRST: ("sequence", "ASC"),
    Order.LAST_CHANGED_FIRST: ("update_time, sequence", "DESC"),
}


@dataclass(slots=True)
class _Conditions:
    """What tasks must have, as SQL: all of it."""

    texts: list[str] = field(default_factory=list[str])
    parameters: list[Any] = field(default_factory=list[Any])

    def add(self, text: str, *parameters: Any) -> None:
        """Adds a condition."""
        self.texts.append(text)
        self.parameters += parameters

    def add_one_of(self, expression: str, values: Sequence[Any]) -> None:
        """Adds the condition that something has one of several values; with no values there is none."""
        if values:
            self.add(f"{expression} IN ({', '.join('?' * len(values))})", *values)

    def and_equal(self, **values: Any) -> _Conditions:
        """Returns these conditions, and that columns have values; None is no condition."""
        more = _Conditions(list(self.texts), list(self.parameters))
        for column, value in values.items():
            if value is not None:
                more.add(f"{column} = ?", value)
        return more

    @property
    def clause(self) -> str:
        """Returns the clause of a statement."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""


def page(wanted: TaskFilter, order: Order, after: Place | None, size: int) -> list[tuple[Place, TaskId]]:
    """Returns up to `size` tasks with their places, from behind the place `after`.

    Asked for tasks of one list and in one state, SQLite finds them in an index in order; asked for several, it reads
    on through the history until it has enough. So it is asked for each, and the answers are merged as far as needed.
    Belongs into a transaction, or they are of different moments.
    """
    conditions = _conditions(wanted, order, after)
    own = () if wanted.task_list_id is None else (wanted.task_list_id,)
    lists = sorted(wanted.task_list_ids.union(own))
    states = sorted(state.value for state in _states(wanted))
    index = ""
    if wanted.finished_before is not None:
        # Its index has all that is asked for, in another order. SQLite would rather read on through the history in the
        # right one, until it had enough.
        index = "INDEXED BY task_finish_time"
        conditions.add("finish_time < ?", rows.from_time(wanted.finished_before))
        conditions.add_one_of("task_list_id", lists)
        lists = []
    if states and (order is Order.LAST_CHANGED_FIRST or wanted.finished_before is not None):
        # No index has tasks of a state in this order.
        conditions.add_one_of("state", states)
        states = []
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(_asked(conditions.and_equal(task_list_id=one, state=state), order, index))
            for one in lists or (None,)
            for state in states or (None,)
        ]
        merged = found[0] if len(found) == 1 else heapq.merge(*found, reverse=order is not Order.OLDEST_FIRST)
        return [(tuple(place), TaskId(task_id)) for *place, task_id in itertools.islice(merged, size)]


def scans(wanted: TaskFilter, order: Order) -> bool:
    """Tells whether a page may take time that grows with the history: no index has what is wanted."""
    sought = wanted.title_contains or wanted.created_after or wanted.created_before or wanted.failure_kinds
    # An index has those that came to rest before, and in another order: each page looks at all of them.
    return bool(sought or wanted.finished_before) or (bool(_states(wanted)) and order is Order.LAST_CHANGED_FIRST)


@contextlib.contextmanager
def _asked(conditions: _Conditions, order: Order, index: str) -> Generator[Iterator[tuple[Any, ...]]]:
    """Yields the rows that have what they must: their places, and the tasks' ids.

    They are read as they are taken. One that was not read to its end keeps its transaction open until it is closed.
    """
    key, direction = _KEYS[order]
    directed = ", ".join(f"{column} {direction}" for column in key.split(", "))
    tables = f"task {index}"
    statement = f"SELECT {key}, id FROM {tables} {conditions.clause} ORDER BY {directed}"  # noqa: S608 - of ours alone
    with contextlib.closing(models.run(statement, *conditions.parameters)) as found:
        yield found


def _states(wanted: TaskFilter) -> frozenset[TaskState]:
    if wanted.failure_kinds:
        failed = frozenset({TaskState.FAILED})
        # With no state in common nothing matches; an impossible state finds that nothing.
        return failed if not wanted.states or TaskState.FAILED in wanted.states else wanted.states
    return frozenset() if wanted.states == frozenset(TaskState) else wanted.states


def _conditions(wanted: TaskFilter, order: Order, after: Place | None) -> _Conditions:
    """Returns what tasks must have besides their list and state."""
    conditions = _Conditions()
    if wanted.title_contains:
        pattern = re.sub(r"([\\%_])", r"\\\1", wanted.title_contains)
        conditions.add(r"title LIKE ? ESCAPE '\'", f"%{pattern}%")
    if wanted.created_after is not None:
        conditions.add("create_time >= ?", rows.from_time(wanted.created_after))
    if wanted.created_before is not None:
        conditions.add("create_time < ?", rows.from_time(wanted.created_before))
    if wanted.failure_kinds:
        conditions.add_one_of("json_extract(failure, '$.kind')", [kind.value for kind in wanted.failure_kinds])
    if after is not None:
        key, direction = _KEYS[order]
        conditions.add(f"({key}) {'<' if direction == 'DESC' else '>'} ({', '.join('?' * len(after))})", *after)
    return conditions
