"""What is removed for its age is looked at again in the transaction that removes it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support import claims
from taskgrove_server.domain import clock, errors, ids, log_names
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.store import listing, models
from taskgrove_server.store.retention import START
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.store.task_rows import RestedSince
from taskgrove_server.store.worktrees import Operation, OperationKind

#: Seconds within which a change is on disk.
PATIENCE = 10.0

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Room:
    """A store with two lists, and a clock that is set."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = BEGIN
        monkeypatch.setattr(clock, "now", lambda: self.time)
        self.store = Store(directory / "taskgrove.db", lambda _: None)
        self.lists = [self._make_list() for _ in range(2)]

    def _make_list(self) -> TaskListId:
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(), now, now)
        return self.store.task_lists.create(task_list).result(PATIENCE).id

    def rest(
        self, state: TaskState = TaskState.SUCCEEDED, task_list_id: TaskListId | None = None, *, worktree: bool = False
    ) -> Task:
        """Returns a task that has come to rest now."""
        now = clock.now()
        task_list_id = task_list_id or self.lists[0]
        task = Task(ids.new_task_id(), task_list_id, "Do it", "", (), RunConfig(), TaskState.QUEUED, now, now)
        self.store.tasks.enqueue(task).result(PATIENCE)
        return self.run(task, state, worktree=worktree)

    def run(self, task: Task, state: TaskState = TaskState.SUCCEEDED, *, worktree: bool = False) -> Task:
        """Has a task that waits come to rest."""
        claims.claim(self.store, 1)
        new = NewRun(
            id=ids.new_run_id(),
            task_id=task.id,
            is_retry=False,
            prompt="",
            agent="command",
            model=None,
            session_id=ids.new_session_id(),
            resumes=False,
            config=RunConfig(),
            directory="/d",
            worktree=Worktree("/w", "taskgrove/x", "0" * 40, setup_log_path="/l") if worktree else None,
        )
        run = self.store.runs.begin(new, "/logs").result(PATIENCE)
        assert run is not None
        self.store.runs.finish(run, Outcome(session_id=run.session_id), 5, 100).result(PATIENCE)
        return self.store.slots.rest(task.id, state).result(PATIENCE)

    def due(self, before: datetime) -> list[ids.TaskId]:
        return [task_id for _, task_id in self.store.retention.tasks(before, START, 100)]

    def with_logs(self, before: datetime) -> list[ids.TaskId]:
        return [task_id for _, task_id in self.store.retention.with_logs(before, START, 100)]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    made = Room(tmp_path, monkeypatch)
    yield made
    made.store.close()


def test_tasks_are_due_in_the_order_in_which_they_came_to_rest(room: Room) -> None:
    first, second = room.rest(), room.rest(TaskState.FAILED)
    room.time += DAY
    third = room.rest(TaskState.CANCELLED)
    room.store.tasks.enqueue(replace(third, id=ids.new_task_id(), state=TaskState.QUEUED)).result(PATIENCE)
    assert room.due(BEGIN) == []
    assert room.due(BEGIN + DAY / 2) == [first.id, second.id]
    assert room.due(BEGIN + 2 * DAY) == [first.id, second.id, third.id]
    ((place, _),) = room.store.retention.tasks(BEGIN + 2 * DAY, START, 1)
    assert [one for _, one in room.store.retention.tasks(BEGIN + 2 * DAY, place, 100)] == [second.id, third.id]


def test_a_task_that_has_rested_anew_is_not_deleted(room: Room) -> None:
    task = room.rest()
    before = BEGIN + DAY / 2
    room.time += DAY
    room.store.tasks.continue_(task.id, "Again").result(PATIENCE)
    with pytest.raises(errors.TaskActive):
        room.store.tasks.delete(task.id, rested_before=before).result(PATIENCE)
    room.run(task)
    with pytest.raises(RestedSince):
        room.store.tasks.delete(task.id, rested_before=before).result(PATIENCE)
    with pytest.raises(RestedSince):
        room.store.tasks.delete(task.id, rested_before=BEGIN + DAY).result(PATIENCE)
    assert room.store.obsolete_files.page("", 10) == []
    names = room.store.tasks.delete(task.id, rested_before=BEGIN + 2 * DAY).result(PATIENCE)
    assert names == [log_names.of_run(task.id, 1), log_names.of_run(task.id, 2), log_names.of_setup(task.id)]
    assert room.store.obsolete_files.page("", 10) == sorted(names)
    room.store.obsolete_files.forget(names[:2]).result(PATIENCE)
    assert room.store.obsolete_files.page("", 10) == names[2:]


def test_a_worktree_that_somebody_works_on_keeps_the_task_and_its_logs(room: Room) -> None:
    task = room.rest(worktree=True)
    operation = Operation(OperationKind.PUSHING)
    with pytest.raises(RestedSince):
        room.store.worktrees.begin(task.id, operation, BEGIN).result(PATIENCE)
    room.store.worktrees.begin(task.id, operation, BEGIN + DAY).result(PATIENCE)
    room.time += 2 * DAY
    with pytest.raises(errors.WorktreeBusy):
        room.store.tasks.delete(task.id, rested_before=BEGIN + DAY).result(PATIENCE)
    assert room.store.retention.remove_logs([task.id], BEGIN + DAY).result(PATIENCE) == []
    assert room.with_logs(BEGIN + DAY) == [task.id]
    room.store.worktrees.leave(task.id).result(PATIENCE)
    assert room.store.retention.remove_logs([task.id], BEGIN + DAY).result(PATIENCE)


def test_logs_are_taken_once_and_again_after_another_run(room: Room) -> None:
    old, young = room.rest(worktree=True), room.rest()
    before = BEGIN + DAY / 2
    room.time += DAY
    room.store.tasks.continue_(young.id, "Again").result(PATIENCE)
    names = room.store.retention.remove_logs([old.id, young.id], before).result(PATIENCE)
    assert names == [log_names.of_run(old.id, 1), log_names.of_setup(old.id)]
    kept = room.store.tasks.get(old.id)
    assert kept.worktree is not None
    assert old.worktree is not None
    assert kept == replace(old, removed_lines=5, worktree=replace(old.worktree, setup_log_path=None))
    assert [run.log_removed for run in room.store.runs.page(old.id, 0, 10)] == [True]
    assert [run.log_removed for run in room.store.runs.page(young.id, 0, 10)] == [False]
    assert room.with_logs(BEGIN + 9 * DAY) == []
    assert room.store.retention.remove_logs([old.id, young.id], before).result(PATIENCE) == []
    # Once it has been continued, there is a log again, which alone goes later. The setup may be done anew.
    room.run(young)
    room.store.tasks.continue_(old.id, "Again").result(PATIENCE)
    assert room.store.obsolete_files.page("", 10) == names[:1]
    again = room.run(old)
    assert (again.removed_lines, again.last_line) == (5, 10)
    assert room.with_logs(BEGIN + 9 * DAY) == [old.id, young.id]
    second = room.store.retention.remove_logs([old.id], BEGIN + 9 * DAY).result(PATIENCE)
    assert second == [log_names.of_run(old.id, 2), log_names.of_setup(old.id)]
    assert room.store.tasks.get(old.id).removed_lines == 10
    assert room.with_logs(BEGIN + 9 * DAY) == [young.id]


def test_listings_of_what_came_to_rest_before_are_whole_and_read_no_history(room: Room) -> None:
    states = itertools.cycle((TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED))
    tasks: list[Task] = []
    for number in range(24):
        # By when they were enqueued, they come to rest in another order.
        room.time = BEGIN + (number * 7 % 24) * DAY
        tasks.append(room.rest(next(states), room.lists[number % 2]))
    before = BEGIN + 10 * DAY
    wishes = (
        TaskFilter(finished_before=before),
        TaskFilter(finished_before=before, states=frozenset({TaskState.FAILED})),
        TaskFilter(finished_before=before, states=frozenset({TaskState.FAILED, TaskState.CANCELLED})),
        TaskFilter(finished_before=before, task_list_id=room.lists[1], states=frozenset({TaskState.SUCCEEDED})),
        TaskFilter(finished_before=before, title_contains="do", created_after=BEGIN + 3 * DAY),
    )
    for wanted, order in itertools.product(wishes, Order):
        expected = {
            task.id
            for task in tasks
            if task.finish_time is not None
            and task.finish_time < before
            and (not wanted.states or task.state in wanted.states)
            and wanted.task_list_id in (None, task.task_list_id)
            and (wanted.created_after is None or task.create_time >= wanted.created_after)
        }
        found: list[tuple[listing.Place, Task]] = []
        while page := room.store.tasks.page(wanted, order, found[-1][0] if found else None, 3):
            found += page
        places = [place for place, _ in found]
        assert places == sorted(places, reverse=order is not Order.OLDEST_FIRST)
        assert [task.id for _, task in found if task.id in expected] == [task.id for _, task in found]
        assert len(found) == len(expected) > 0


@pytest.mark.parametrize("order", Order)
def test_the_index_of_when_tasks_came_to_rest_is_used(
    room: Room, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = frozenset({TaskState.FAILED, TaskState.SUCCEEDED})
    wanted = TaskFilter(task_list_id=room.lists[0], states=states, finished_before=BEGIN)
    asked: list[tuple[str, list[object]]] = []
    database = models.Task._meta.database
    execute = database.execute_sql
    run = models.run

    def note(sql: str, values: list[object] | None = None) -> object:
        asked.append((sql, values or []))
        return execute(sql, values)

    def note_run(statement: str, *parameters: object) -> sqlite3.Cursor:
        asked.append((statement, list(parameters)))
        return run(statement, *parameters)

    monkeypatch.setattr(database, "execute_sql", note)
    monkeypatch.setattr(models, "run", note_run)
    room.store.tasks.page(wanted, order, (1,) * len(order.place), 10)
    room.store.retention.with_logs(BEGIN, START, 10)
    monkeypatch.undo()
    asked = [(sql, values) for sql, values in asked if sql.startswith("SELECT")]
    plans = [" ".join(step[3] for step in execute(f"EXPLAIN QUERY PLAN {sql}", values)) for sql, values in asked]
    assert "INDEX task_finish_time (finish_time<?)" in plans[0]
    assert "INDEX task_with_logs (finish_time>? AND finish_time<?)" in plans[-1]
    assert not any("SCAN task" in plan or "SCAN t1" in plan for plan in plans)


def test_a_setup_log_that_is_written_anew_meanwhile_stays(room: Room, tmp_path: Path) -> None:
    task = room.rest(worktree=True)
    names = room.store.retention.remove_logs([task.id], BEGIN + DAY).result(PATIENCE)
    for name in names:
        (tmp_path / name).write_text("old")
    room.store.tasks.retry(task.id).result(PATIENCE)
    (tmp_path / log_names.of_setup(task.id)).write_text("new")
    assert LogFiles(room.store, tmp_path).remove(names) is None
    assert (tmp_path / log_names.of_setup(task.id)).read_text() == "new"
    assert not (tmp_path / log_names.of_run(task.id, 1)).exists()
