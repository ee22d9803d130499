"""Pages of tasks, as the store finds them: by any filter, in any order, and by an index wherever there is one."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.store import listing, models
from taskgrove_server.store.store import Store

#: Seconds within which a change has to be stored.
PATIENCE = 20.0

LISTS = 4
TASKS = 60


class History:
    """A store with tasks of several lists, in every state."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "taskgrove.db", lambda _: None)
        now = clock.now()
        self.lists = [ids.new_task_list_id() for _ in range(LISTS)]
        for task_list_id in self.lists:
            self.store.task_lists.create(TaskList(task_list_id, "L", None, RunConfig(), now, now)).result(PATIENCE)
        chance = random.Random(7)
        #: In the order in which they were enqueued.
        self.tasks = [self._live(number, chance).id for number in range(TASKS)]

    def _live(self, number: int, chance: random.Random) -> Task:
        store, now = self.store, clock.now()
        # The last list has no task.
        task_list_id = chance.choice(self.lists[:-1])
        state, title = chance.choice(list(TaskState)), f"{number} of 100%" if number % 3 else f"{number}_of_100"
        task = Task(ids.new_task_id(), task_list_id, title, "", (), RunConfig(), TaskState.QUEUED, now, now)
        store.tasks.enqueue(task).result(PATIENCE)
        if state is TaskState.RUNNING:
            store.slots.claim(task.id, 1).result(PATIENCE)
            models.run("UPDATE task SET state = 'running' WHERE id = ?", task.id)
        elif state is TaskState.FAILED:
            failure = Failure(chance.choice([FailureKind.AUTH, FailureKind.TIMEOUT]), "No.")
            store.slots.rest(task.id, state, failure=failure).result(PATIENCE)
        elif state is not TaskState.QUEUED:
            store.slots.rest(task.id, state).result(PATIENCE)
        return task

    def all(self, order: Order) -> list[Task]:
        tasks = [self.store.tasks.get(task_id) for task_id in self.tasks]
        if order is Order.LAST_CHANGED_FIRST:
            return sorted(tasks, key=lambda task: task.update_time, reverse=True)
        return tasks if order is Order.OLDEST_FIRST else tasks[::-1]

    def walk(self, wanted: TaskFilter, order: Order, size: int) -> list[Task]:
        """Returns what all pages have."""
        found: list[Task] = []
        after: listing.Place | None = None
        while page := self.store.tasks.page(wanted, order, after, size):
            found += [task for _, task in page]
            after = page[-1][0]
        return found


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    made = History(tmp_path_factory.mktemp("history"))
    yield made
    made.store.close()


def has(wanted: TaskFilter, task: Task) -> bool:
    """Tells whether a task has what is wanted."""
    lists = wanted.task_list_ids | ({wanted.task_list_id} if wanted.task_list_id else set())
    return (
        (not lists or task.task_list_id in lists)
        and (not wanted.states or task.state in wanted.states)
        and wanted.title_contains.lower() in task.title.lower()
        and (wanted.created_after is None or task.create_time >= wanted.created_after)
        and (wanted.created_before is None or task.create_time < wanted.created_before)
        and (not wanted.failure_kinds or (task.failure is not None and task.failure.kind in wanted.failure_kinds))
    )


def any_filter(chance: random.Random, history: History) -> TaskFilter:
    times = [history.store.tasks.get(task_id).create_time for task_id in chance.sample(history.tasks, 2)]
    return TaskFilter(
        task_list_id=chance.choice([None, None, *history.lists]),
        states=frozenset(chance.sample(list(TaskState), chance.choice([0, 0, 1, 2, 5]))),
        title_contains=chance.choice(["", "", "0%", "_OF", "\\"]),
        created_after=chance.choice([None, None, min(times)]),
        created_before=chance.choice([None, None, max(times)]),
        failure_kinds=frozenset(chance.sample([FailureKind.AUTH, FailureKind.TIMEOUT], chance.choice([0, 0, 1, 2]))),
        task_list_ids=frozenset(chance.sample(history.lists, chance.choice([0, 0, 1, 2, 4]))),
    )


@pytest.mark.parametrize("order", Order)
def test_pages_have_all_that_is_wanted_once_and_in_order(history: History, order: Order) -> None:
    chance = random.Random(order.value)
    found = 0
    tasks = history.all(order)
    for _ in range(150):
        wanted = any_filter(chance, history)
        expected = [task for task in tasks if has(wanted, task)]
        assert history.walk(wanted, order, chance.choice([1, 3, 500])) == expected, wanted
        found += bool(expected)
    assert found > 50


@pytest.mark.parametrize("order", Order)
def test_an_index_has_what_is_wanted_of_several_lists_and_states(
    history: History, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [frozenset[TaskListId](), frozenset(history.lists[:1]), frozenset(history.lists)]
    states = [frozenset[TaskState](), frozenset({TaskState.QUEUED}), frozenset({TaskState.QUEUED, TaskState.FAILED})]
    asked: list[tuple[Any, ...]] = []
    run = models.run

    def noting(statement: str, *parameters: Any) -> sqlite3.Cursor:
        asked.append((statement, *parameters))
        return run(statement, *parameters)

    monkeypatch.setattr(models, "run", noting)
    for some_lists, some_states, after in itertools.product(lists, states, [None, (5,) * len(order.place)]):
        wanted = TaskFilter(states=some_states, task_list_ids=some_lists)
        if listing.scans(wanted, order):
            continue
        asked.clear()
        listing.page(wanted, order, after, 3)
        assert len(asked) == max(1, len(some_lists)) * max(1, len(some_states))
        for statement, *parameters in asked:
            plan = [row[3] for row in run(f"EXPLAIN QUERY PLAN {statement}", *parameters)]
            # One look into one index, in whose order the tasks come.
            assert len(plan) == 1, (statement, plan)
            assert plan[0].startswith("SEARCH") or not (some_lists or some_states or after), (statement, plan)


def test_a_page_leaves_no_transaction_open(history: History) -> None:
    both = TaskFilter(states=frozenset({TaskState.QUEUED, TaskState.FAILED}), task_list_ids=frozenset(history.lists))
    assert len(history.store.tasks.page(both, Order.NEWEST_FIRST, None, 2)) == 2
    assert not models.connection().in_transaction
    # Nor one that only reads, which would keep the log of changes from being taken over.
    assert models.run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
