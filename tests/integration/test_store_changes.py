"""The store tells of every task that a commit changes: what others keep of tasks hangs on that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.hold import Cause, HoldKind
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Outcome, Run
from taskgrove_server.domain.task import Subtask, Task, TaskEdit, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Landing, LandStrategy, Worktree, WorktreeState
from taskgrove_server.store import models
from taskgrove_server.store.retention import Retention
from taskgrove_server.store.runs import NewRun, Runs
from taskgrove_server.store.slots import Slots
from taskgrove_server.store.store import Store
from taskgrove_server.store.tasks import Tasks
from taskgrove_server.store.worktrees import Operation, OperationKind, Worktrees

#: Seconds within which a change has to be stored.
PATIENCE = 20.0

#: SQLite itself notes whose rows are changed, whatever way leads there; a note about a worktree is nothing of its task.
TRIGGERS = f"""
CREATE TABLE touched (task_id TEXT);
CREATE TRIGGER task_new AFTER INSERT ON task BEGIN INSERT INTO touched VALUES (NEW.id); END;
CREATE TRIGGER task_changed AFTER UPDATE ON task BEGIN INSERT INTO touched VALUES (NEW.id); END;
CREATE TRIGGER task_gone AFTER DELETE ON task BEGIN INSERT INTO touched VALUES (OLD.id); END;
CREATE TRIGGER worktree_new AFTER INSERT ON worktree BEGIN INSERT INTO touched VALUES (NEW.task_id); END;
CREATE TRIGGER worktree_changed AFTER UPDATE OF {", ".join(one.name for one in fields(Worktree))} ON worktree
    BEGIN INSERT INTO touched VALUES (NEW.task_id); END;
CREATE TRIGGER worktree_gone AFTER DELETE ON worktree BEGIN INSERT INTO touched VALUES (OLD.task_id); END;
"""


def touched() -> set[TaskId]:
    return {TaskId(task_id) for (task_id,) in models.run("SELECT task_id FROM touched")}


@dataclass(slots=True)
class Told:
    """What the store tells of each commit, before and after it."""

    before: list[frozenset[TaskId]] = field(default_factory=list[frozenset[TaskId]])
    after: list[frozenset[TaskId]] = field(default_factory=list[frozenset[TaskId]])
    #: What SQLite says of them.
    rows: list[set[TaskId]] = field(default_factory=list[set[TaskId]])

    def committing(self, task_ids: frozenset[TaskId]) -> None:
        self.before.append(task_ids)
        self.rows.append(touched())
        models.run("DELETE FROM touched")

    def committed(self, task_ids: frozenset[TaskId]) -> None:
        self.after.append(task_ids)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> Iterator[Store]:
    opened = Store(tmp_path / "taskgrove.db", told.committed, committing=told.committing)
    for statement in TRIGGERS.replace("\n    ", " ").strip().splitlines():
        models.run(statement)
    yield opened
    opened.close()


class Life:
    """All that is done to tasks, one change after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        now = clock.now()
        self._list = store.task_lists.create(TaskList(ids.new_task_list_id(), "L", None, RunConfig(), now, now))
        self.called: set[Callable[..., object]] = set()

    def do(self, method: Callable[..., Future[Any]], *arguments: object, **options: object) -> Any:
        self.called.add(method.__func__)  # type: ignore[attr-defined]
        done = method(*arguments, **options).result(PATIENCE)
        # Nothing was changed by a commit of which nothing is told.
        assert touched() == set(), method.__name__
        return done

    def live(self) -> None:
        store, do = self._store, self.do
        task_id = self._enqueue()
        do(store.tasks.update, task_id, TaskEdit(title="Renamed"), "")
        do(store.tasks.tick, task_id, 1, "", completed=True)
        do(store.slots.claim, task_id, 1)
        do(store.slots.requeue, task_id)
        do(store.slots.claim, task_id, 1)
        cause = Cause(HoldKind.MACHINE, "", "No memory.", FailureKind.MACHINE)
        do(store.slots.put_back, task_id, cause, timedelta(seconds=1))
        do(store.slots.reclaim, task_id, 1)
        for head in ("a" * 40, "b" * 40):
            run = do(store.runs.begin, self._run(task_id, Worktree("/w", "branch", head)), "/logs")
            assert isinstance(run, Run)
            do(store.runs.finish, run, Outcome(session_id=run.session_id, result="Done."), 3, 30)
        do(store.slots.settle, task_id)
        do(store.slots.rest, task_id, TaskState.SUCCEEDED, result="Done.", head_commit="c" * 40)
        self._review(task_id)
        do(store.tasks.continue_, task_id, "Go on.")
        do(store.tasks.cancel, task_id)
        do(store.tasks.retry, task_id)
        do(store.slots.claim, task_id, 1)
        do(store.tasks.cancel, task_id)
        do(store.slots.requeue, task_id)
        do(store.tasks.delete, task_id)

    def _review(self, task_id: TaskId) -> None:
        worktrees, do = self._store.worktrees, self.do
        operation = Operation(OperationKind.LANDING)
        do(worktrees.begin, task_id, operation)
        do(worktrees.note, task_id, operation)
        do(worktrees.committed, task_id, "d" * 40)
        do(worktrees.landed, task_id, Landing("main", "e" * 40, "d" * 40, LandStrategy.MERGE, clock.now()), None)
        do(worktrees.begin, task_id, operation)
        do(worktrees.leave, task_id)
        do(worktrees.begin, task_id, Operation(OperationKind.REMOVING))
        do(worktrees.saved, task_id, "refs/saved")
        do(worktrees.removed, task_id, WorktreeState.PRUNED, "refs/saved")
        do(worktrees.replace, task_id, Worktree("/w", "branch", "f" * 40, state=WorktreeState.PRUNED))
        do(self._store.retention.remove_logs, [task_id], clock.now() + timedelta(days=1))

    def _enqueue(self) -> TaskId:
        now, list_id = clock.now(), self._list.result(PATIENCE).id
        task = Task(ids.new_task_id(), list_id, "T", "", (Subtask("S"),), RunConfig(), TaskState.QUEUED, now, now)
        self.do(self._store.tasks.enqueue, task)
        return task.id

    def _run(self, task_id: TaskId, worktree: Worktree) -> NewRun:
        session_id = ids.new_session_id()
        return NewRun(
            ids.new_run_id(), task_id, False, "", "command", None, session_id, False, RunConfig(), "/w", worktree
        )


def test_every_commit_tells_of_each_task_whose_rows_it_changes(store: Store, told: Told) -> None:
    life = Life(store)
    told.before.clear()
    told.after.clear()
    told.rows.clear()
    life.live()
    assert told.before == told.after
    for task_ids, rows in zip(told.before, told.rows, strict=True):
        assert rows <= task_ids
    changing = {
        method
        for kind in (Tasks, Slots, Runs, Worktrees, Retention)
        for method in vars(kind).values()
        if inspect.isfunction(method) and str(inspect.signature(method).return_annotation).startswith("Future")
    }
    assert changing
    assert changing == life.called
