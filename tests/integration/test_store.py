"""The store, over a real SQLite database."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import peewee
import pytest

from support import claims
from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import Command, RunConfig
from taskgrove_server.domain.event import EventBounds, EventFilter, EventKind
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.run import Outcome, Run, RunState, Usage
from taskgrove_server.domain.task import Subtask, Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.store import database, events
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.store.tasks import Cancelled

CONFIG = RunConfig(
    agent="command",
    model="m",
    system_prompt="s",
    agent_path="/a.md",
    output_schema="{}",
    permission_mode="plan",
    allowed_tools=("Read", "Bash(git *)"),
    max_turns=3,
    run_timeout=timedelta(seconds=90),
    command=Command(argv=("make", "test")),
    setting_sources=("user", "local"),
)


class Committed:
    """Collects what the store says was committed."""

    def __init__(self) -> None:
        self.tasks: list[TaskId] = []

    def __call__(self, tasks: frozenset[TaskId]) -> None:
        self.tasks.extend(tasks)


@pytest.fixture
def committed() -> Committed:
    return Committed()


@pytest.fixture
def store(tmp_path: Path, committed: Committed) -> Iterator[Store]:
    opened = Store(tmp_path / "taskgrove.db", committed)
    yield opened
    opened.close()


@pytest.fixture
def task_list(store: Store) -> TaskList:
    return store.task_lists.create(new_list()).result(10)


def new_list(title: str = "project") -> TaskList:
    now = clock.now()
    return TaskList(ids.new_task_list_id(), title, "/repository", CONFIG, now, now)


def new_task(task_list: TaskList, title: str = "task") -> Task:
    now = clock.now()
    return Task(
        id=ids.new_task_id(),
        task_list_id=task_list.id,
        title=title,
        description="described",
        subtasks=(Subtask("one", completed=True), Subtask("two")),
        overrides=CONFIG,
        subdirectory="packages/app",
        state=TaskState.QUEUED,
        create_time=now,
        update_time=now,
    )


def new_run(task: Task, worktree: Worktree | None = None, *, is_retry: bool = False) -> NewRun:
    return NewRun(
        id=ids.new_run_id(),
        task_id=task.id,
        is_retry=is_retry,
        prompt="prompt",
        agent="command",
        model=None,
        session_id=ids.new_session_id(),
        resumes=False,
        config=CONFIG,
        directory="/directory",
        worktree=worktree,
    )


def begin(store: Store, task: Task) -> Run:
    run = store.runs.begin(new_run(task), "/logs").result(10)
    assert run is not None
    return run


def claimed(store: Store, task_list: TaskList) -> Task:
    store.tasks.enqueue(new_task(task_list)).result(10)
    task = claims.claim(store, 1)
    assert task is not None
    return task


def test_what_is_stored_comes_back_as_it_was(store: Store, task_list: TaskList, committed: Committed) -> None:
    task = new_task(task_list)
    assert store.tasks.enqueue(task).result(10) == task
    assert store.tasks.get(task.id) == task
    assert store.task_lists.get(task_list.id) == task_list
    assert committed.tasks == [task.id]


def test_a_finished_run_comes_back_as_it_was(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    run = begin(store, task)
    failure = Failure(FailureKind.RATE_LIMITED, "wait", 429, clock.now() + timedelta(hours=1))
    outcome = Outcome(
        failure=failure,
        session_id=run.session_id,
        result="text",
        structured_output="{}",
        exit_code=137,
        usage=Usage(1, 2, 3, 4, 5, 0.25, 1.5),
        permission_denials=("Bash: curl",),
        stderr="oops",
        repository_changes=("The branch 'x' is new in the repository.",),
    )
    finished = store.runs.finish(run, outcome, 7, 700).result(10)
    assert finished.outcome == outcome
    assert (finished.state, finished.line_count, finished.log_size) == (RunState.FAILED, 7, 700)
    assert store.tasks.get(task.id).last_line == 7
    assert store.runs.page(task.id, 0, 10) == [finished]


def test_a_run_is_finished_only_once(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    run = begin(store, task)
    first = store.runs.finish(run, Outcome(result="first"), 1, 10).result(10)
    assert store.runs.finish(run, Outcome(result="second"), 2, 20).result(10) == first


def test_what_happened_to_a_repository_is_told_with_the_end_of_the_run(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    run = begin(store, task)
    changes = ("One.", "Two: é.")
    store.runs.finish(run, Outcome(repository_changes=changes), 1, 10).result(10)
    store.runs.finish(run, Outcome(repository_changes=("Not told.",)), 1, 10).result(10)
    page = store.events.page(0, EventFilter(kinds=frozenset({EventKind.REPOSITORY_CHANGED})))
    assert [(event.run_number, event.repository_changes) for event in page.events] == [(1, changes)]


def test_what_is_trimmed_while_a_page_is_read_is_in_it_or_told_of(
    store: Store, task_list: TaskList, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(8):
        store.tasks.enqueue(new_task(task_list, f"task {n}")).result(10)
    bounds = events._bounds

    def then_trim() -> EventBounds:
        found = bounds()
        monkeypatch.setattr(events, "_bounds", bounds)
        assert store.events.trim(timedelta(), 1).result(10) == 7
        return found

    monkeypatch.setattr(events, "_bounds", then_trim)
    page = store.events.page(0, EventFilter())
    assert [event.sequence for event in page.events] == list(range(1, 9))
    assert page.through == 8
    with pytest.raises(errors.EventsTrimmed):
        store.events.page(0, EventFilter())


def test_the_bounds_of_the_feed_are_those_of_one_moment(
    store: Store, task_list: TaskList, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(8):
        store.tasks.enqueue(new_task(task_list, f"task {n}")).result(10)
    highest = peewee.fn.MAX

    def after_a_trim(column: peewee.Field) -> peewee.Function:
        monkeypatch.undo()
        store.tasks.enqueue(new_task(task_list)).result(10)
        assert store.events.trim(timedelta(), 1).result(10) == 8
        return highest(column)

    monkeypatch.setattr(peewee.fn, "MAX", after_a_trim, raising=False)
    assert store.events.bounds() == EventBounds(1, 8)
    assert store.events.bounds() == EventBounds(9, 9)


def test_a_page_of_long_events_ends_before_it_is_too_large(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    changes = ("é" * 500,) * 50
    for _ in range(50):
        store.runs.finish(begin(store, task), Outcome(repository_changes=changes), 0, 0).result(10)
    wanted = EventFilter(kinds=frozenset({EventKind.REPOSITORY_CHANGED}))
    found = position = 0
    while True:
        page = store.events.page(position, wanted)
        assert len(page.events) * 50 * 500 * 4 < 4 << 20
        found += len(page.events)
        position = page.through
        if not page.full:
            break
    assert found == 50


def test_runs_are_numbered_and_their_lines_follow_each_other(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    for number, (lines, first_line) in enumerate([(5, 1), (0, 6), (3, 6), (1, 9)], start=1):
        run = begin(store, task)
        assert (run.number, run.first_line) == (number, first_line)
        assert run.log_path == f"/logs/{task.id}_run{number}.ndjson"
        store.runs.finish(run, Outcome(), lines, lines * 10).result(10)
    holders = [store.runs.holding(task.id, line) for line in (1, 5, 6, 8, 9, 10)]
    assert [run and run.number for run in holders] == [1, 1, 3, 3, 4, 4]


def test_a_worktree_is_stored_and_its_head_recorded_at_rest(store: Store, task_list: TaskList) -> None:
    store.tasks.enqueue(new_task(task_list)).result(10)
    task = claims.claim(store, 3)
    assert task is not None
    worktree = Worktree("/w", "taskgrove/x", "a" * 40)
    run = store.runs.begin(new_run(task, worktree), "/logs").result(10)
    assert run is not None
    marked = store.tasks.get(task.id)
    assert (marked.state, marked.start_time) == (TaskState.RUNNING, run.start_time)
    assert (marked.worktree, marked.directory, marked.slot) == (worktree, "/directory", 3)
    rested = store.slots.rest(task.id, TaskState.SUCCEEDED, result="done", head_commit="b" * 40).result(10)
    assert rested.worktree == replace(worktree, head_commit="b" * 40)
    assert (rested.state, rested.result, rested.slot) == (TaskState.SUCCEEDED, "done", None)


def test_the_oldest_task_is_claimed_first(store: Store, task_list: TaskList) -> None:
    tasks = [store.tasks.enqueue(new_task(task_list, f"{n}")).result(10) for n in range(10)]
    claimed = [task.id for slot in range(1, 13) if (task := claims.claim(store, slot))]
    assert claimed == [task.id for task in tasks]


def test_a_task_is_claimed_by_one_slot(store: Store, task_list: TaskList) -> None:
    task = store.tasks.enqueue(new_task(task_list)).result(10)
    tries = [store.slots.claim(task.id, slot) for slot in range(1, 5)]
    assert [found and found.slot for found in (claim.result(10) for claim in tries)] == [1, None, None, None]


def test_a_continued_task_goes_to_the_end_of_the_queue(store: Store, task_list: TaskList) -> None:
    first = claimed(store, task_list)
    store.runs.finish(begin(store, first), Outcome(session_id=ids.new_session_id()), 1, 10).result(10)
    store.slots.rest(first.id, TaskState.FAILED, failure=Failure(FailureKind.AGENT, "no")).result(10)
    second = store.tasks.enqueue(new_task(task_list)).result(10)
    continued = store.tasks.continue_(first.id, "go on").result(10)
    assert (continued.state, continued.failure, continued.next_prompt) == (TaskState.QUEUED, None, "go on")
    found = [claims.claim(store, 1), claims.claim(store, 2)]
    assert [task and task.id for task in found] == [second.id, first.id]


def test_a_requeued_task_keeps_its_place(store: Store, task_list: TaskList) -> None:
    tasks = [store.tasks.enqueue(new_task(task_list)).result(10) for _ in range(2)]
    claims.claim(store, 1)
    store.slots.requeue(tasks[0].id).result(10)
    task = claims.claim(store, 1)
    assert task is not None
    assert task.id == tasks[0].id


def test_continue_is_refused_for_the_right_reason(store: Store, task_list: TaskList) -> None:
    with pytest.raises(errors.TaskNotFound):
        store.tasks.continue_(ids.new_task_id(), "x").result(10)
    task = store.tasks.enqueue(new_task(task_list)).result(10)
    with pytest.raises(errors.TaskActive):
        store.tasks.continue_(task.id, "x").result(10)
    store.tasks.cancel(task.id).result(10)
    with pytest.raises(errors.NoPreviousRun):
        store.tasks.continue_(task.id, "x").result(10)
    task = claimed(store, task_list)
    store.runs.finish(begin(store, task), Outcome(session_id=None), 0, 0).result(10)
    store.slots.rest(task.id, TaskState.FAILED).result(10)
    with pytest.raises(errors.SessionMissing):
        store.tasks.continue_(task.id, "x").result(10)
    task = claimed(store, task_list)
    store.runs.finish(begin(store, task), Outcome(session_id=ids.new_session_id()), 0, 0).result(10)
    store.slots.rest(task.id, TaskState.SUCCEEDED).result(10)
    store.task_lists.delete(task_list.id).result(10)
    before = store.tasks.get(task.id)
    with pytest.raises(errors.TaskListDeleted):
        store.tasks.continue_(task.id, "x").result(10)
    assert store.tasks.get(task.id) == before


def test_two_continues_at_once_leave_one(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    store.runs.finish(begin(store, task), Outcome(session_id=ids.new_session_id()), 0, 0).result(10)
    store.slots.rest(task.id, TaskState.SUCCEEDED).result(10)
    calls = [store.tasks.continue_(task.id, f"{n}") for n in range(2)]
    refused = [isinstance(call.exception(10), errors.TaskActive) for call in calls]
    assert sorted(refused) == [False, True]


def test_a_cancel_does_what_it_says(store: Store, task_list: TaskList) -> None:
    waiting = store.tasks.enqueue(new_task(task_list)).result(10)
    task, outcome = store.tasks.cancel(waiting.id).result(10)
    assert (task.state, outcome) == (TaskState.CANCELLED, Cancelled.AT_ONCE)
    task, outcome = store.tasks.cancel(waiting.id).result(10)
    assert (task.state, outcome) == (TaskState.CANCELLED, Cancelled.ALREADY_RESTED)
    active = claimed(store, task_list)
    begin(store, active)
    task, outcome = store.tasks.cancel(active.id).result(10)
    assert (task.state, task.cancel_requested, outcome) == (TaskState.RUNNING, True, Cancelled.STOPPING)


def test_an_accepted_cancel_wins_over_success_and_failure(store: Store, task_list: TaskList) -> None:
    for state in (TaskState.SUCCEEDED, TaskState.FAILED):
        task = claimed(store, task_list)
        store.tasks.cancel(task.id).result(10)
        assert store.slots.settle(task.id).result(10) is False
        failure = Failure(FailureKind.AGENT, "no")
        rested = store.slots.rest(task.id, state, result="x", failure=failure).result(10)
        assert (rested.state, rested.failure, rested.result) == (TaskState.CANCELLED, None, None)


def test_a_cancel_after_success_changes_nothing(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    assert store.slots.settle(task.id).result(10) is True
    _, outcome = store.tasks.cancel(task.id).result(10)
    assert outcome is Cancelled.TOO_LATE
    rested = store.slots.rest(task.id, TaskState.SUCCEEDED, result="x").result(10)
    assert rested.state is TaskState.SUCCEEDED
    _, outcome = store.tasks.cancel(task.id).result(10)
    assert outcome is Cancelled.ALREADY_RESTED
    assert store.tasks.get(task.id) == rested


def test_no_run_begins_after_a_cancel(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    store.tasks.cancel(task.id).result(10)
    assert store.runs.begin(new_run(task), "/logs").result(10) is None
    assert store.runs.latest(task.id) is None


def test_a_task_rests_only_once(store: Store, task_list: TaskList) -> None:
    task = claimed(store, task_list)
    rested = store.slots.rest(task.id, TaskState.SUCCEEDED, result="first").result(10)
    assert store.slots.rest(task.id, TaskState.FAILED).result(10) == rested


def test_a_request_id_returns_what_it_made_and_nothing_else(store: Store, task_list: TaskList) -> None:
    key = RequestKey("r-1", "Enqueue", "body")
    task = store.tasks.enqueue(new_task(task_list), key).result(10)
    assert store.tasks.enqueue(new_task(task_list), key).result(10).id == task.id
    for other in (replace(key, fingerprint="other"), replace(key, method="Cancel")):
        with pytest.raises(errors.RequestIdReused):
            store.tasks.enqueue(new_task(task_list), other).result(10)
    assert len(store.tasks.page(TaskFilter(), Order.NEWEST_FIRST, None, 10)) == 1


def test_a_refused_call_does_not_use_up_its_request_id(store: Store, task_list: TaskList) -> None:
    task = store.tasks.enqueue(new_task(task_list)).result(10)
    key = RequestKey("r-1", "Continue", "body")
    with pytest.raises(errors.TaskActive):
        store.tasks.continue_(task.id, "x", key).result(10)
    assert store.tasks.enqueue(new_task(task_list), replace(key, method="Enqueue")).result(10)


def test_one_failing_change_does_not_undo_its_neighbours(store: Store, task_list: TaskList) -> None:
    # Hold the writer so that all of these wait for one commit.
    gate = threading.Event()
    writer = store.tasks._writer
    held = writer.submit(lambda _changed: gate.wait(10))
    good = [store.tasks.enqueue(new_task(task_list)) for _ in range(3)]
    bad = store.tasks.enqueue(replace(new_task(task_list), task_list_id=TaskListId("nolist")))
    more = store.tasks.enqueue(new_task(task_list))
    gate.set()
    assert held.result(10)
    assert isinstance(bad.exception(10), errors.TaskListNotFound)
    assert len({change.result(10).id for change in (*good, more)}) == 4
    assert len(store.tasks.page(TaskFilter(), Order.NEWEST_FIRST, None, 10)) == 4


def test_tasks_page_by_key_with_filters(store: Store, task_list: TaskList) -> None:
    other = store.task_lists.create(new_list("other")).result(10)
    tasks = [store.tasks.enqueue(new_task(task_list if n % 2 else other)).result(10) for n in range(9)]
    store.tasks.cancel(tasks[3].id).result(10)
    seen: list[TaskId] = []
    before = None
    queued = TaskFilter(task_list_id=task_list.id, states=frozenset({TaskState.QUEUED}))
    while page := store.tasks.page(queued, Order.NEWEST_FIRST, before, 2):
        seen += [task.id for _, task in page]
        before = page[-1][0]
    assert seen == [tasks[n].id for n in (7, 5, 1)]
    both = TaskFilter(states=frozenset({TaskState.QUEUED, TaskState.CANCELLED}))
    page = store.tasks.page(both, Order.NEWEST_FIRST, (7,), 3)
    assert [task.id for _, task in page] == [tasks[n].id for n in (5, 4, 3)]


def test_a_list_with_active_tasks_is_not_deleted(store: Store, task_list: TaskList) -> None:
    task = store.tasks.enqueue(new_task(task_list)).result(10)
    with pytest.raises(errors.TaskListActive):
        store.task_lists.delete(task_list.id).result(10)
    store.tasks.cancel(task.id).result(10)
    store.task_lists.delete(task_list.id).result(10)
    with pytest.raises(errors.TaskListNotFound):
        store.task_lists.get(task_list.id)
    assert store.tasks.get(task.id).state is TaskState.CANCELLED


def test_changes_from_many_threads_are_all_there(store: Store, task_list: TaskList) -> None:
    def enqueue(_: int) -> TaskId:
        return store.tasks.enqueue(new_task(task_list)).result(10).id

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(enqueue, range(400)))
    assert len(store.tasks.page(TaskFilter(), Order.NEWEST_FIRST, None, 1000)) == len(set(made)) == 400


def test_what_was_acknowledged_is_there_after_a_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "db", lambda _: None)
    task_list = first.task_lists.create(new_list()).result(10)
    task = first.tasks.enqueue(new_task(task_list)).result(10)
    first.close()
    second = Store(tmp_path / "db", lambda _: None)
    assert second.tasks.get(task.id) == task
    second.close()


def test_a_change_after_the_close_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", lambda _: None)
    store.close()
    with pytest.raises(errors.StoreUnavailable):
        store.slots.claim(ids.new_task_id(), 1)


def test_a_database_locked_by_another_process_is_a_clear_error_and_no_loss(
    store: Store, task_list: TaskList, tmp_path: Path
) -> None:
    connection: Callable[[], sqlite3.Connection] = store._database.connection
    impatient = store.tasks._writer.submit(lambda _: connection().execute("PRAGMA busy_timeout = 50").fetchall())
    assert impatient.result(10) == [(50,)]
    other = sqlite3.connect(tmp_path / "taskgrove.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = store.tasks.enqueue(new_task(task_list))
    assert isinstance(refused.exception(20), errors.StoreUnavailable)
    other.execute("ROLLBACK")
    other.close()
    assert store.tasks.enqueue(new_task(task_list)).result(10)
    assert len(store.tasks.page(TaskFilter(), Order.NEWEST_FIRST, None, 10)) == 1


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(database.DatabaseUnusable, match="cannot be used"):
        Store(path, lambda _: None)


def test_a_task_from_before_there_were_subdirectories_starts_at_the_top(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = Store(path, lambda _: None)
    task = store.tasks.enqueue(new_task(store.task_lists.create(new_list()).result(10))).result(10)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("ALTER TABLE task DROP COLUMN subdirectory")
        raw.execute("DELETE FROM schema_migration WHERE name = '0007_subdirectory'")
    store = Store(path, lambda _: None)
    assert store.tasks.get(task.id) == replace(task, subdirectory="")
    store.close()


def test_a_database_of_a_newer_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "db"
    Store(path, lambda _: None).close()
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2030-01-01')")
    raw.close()
    with pytest.raises(database.DatabaseUnusable, match="newer version"):
        Store(path, lambda _: None)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT id FROM task WHERE state = 'queued' AND slot IS NULL ORDER BY queue_order LIMIT 1", "task_queue"),
        ("SELECT max(queue_order) FROM task", "task_queue_order"),
        (
            "SELECT id FROM task WHERE task_list_id = 'x' AND state IN ('queued', 'running') LIMIT 1",
            "task_task_list_state",
        ),
        (
            "SELECT * FROM task WHERE task_list_id = 'x' AND state = 'failed' AND sequence < 9 ORDER BY sequence DESC",
            "task_task_list_state",
        ),
        ("SELECT * FROM task WHERE state = 'failed' AND sequence < 9 ORDER BY sequence DESC", "task_state"),
        ("SELECT * FROM task WHERE task_list_id = 'x' AND sequence < 9 ORDER BY sequence DESC", "task_task_list"),
        ("SELECT * FROM task WHERE slot IS NOT NULL", "task_slot"),
    ],
)
def test_the_queries_that_must_be_flat_use_their_index(store: Store, tmp_path: Path, query: str, index: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "taskgrove.db")) as raw:
        plan = " ".join(str(row) for row in raw.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert re.search(rf"INDEX {index}\b", plan), plan
