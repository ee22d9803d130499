"""What every run does in the store is written out: hundreds of runs that end at once wait for its one writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import peewee
import pytest

from support import claims
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.hold import Cause, HoldKind
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.store import data_paths, models
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store

#: Seconds within which a change has to be stored.
PATIENCE = 20.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "taskgrove.db", lambda _: None)
    yield opened
    opened.close()


@pytest.fixture
def task(store: Store) -> Task:
    now = clock.now()
    task_list = TaskList(ids.new_task_list_id(), "L", None, RunConfig(), now, now)
    store.task_lists.create(task_list).result(PATIENCE)
    task = Task(ids.new_task_id(), task_list.id, "T", "", (), RunConfig(), TaskState.QUEUED, now, now)
    return store.tasks.enqueue(task).result(PATIENCE)


@pytest.fixture
def built(store: Store, task: Task, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the statements that Peewee builds from now on."""
    assert task == store.tasks.get(task.id)
    statements: list[str] = []
    execute: Callable[..., Any] = peewee.Database.execute

    def build(self: peewee.Database, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(str(query))
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(peewee.Database, "execute", build)
    return statements


def live(store: Store, task: Task, worktree: Worktree) -> Task:
    """Brings a task that waits to its rest."""
    claimed = claims.claim(store, 1)
    assert claimed is not None
    session_id = ids.new_session_id()
    new = NewRun(
        ids.new_run_id(), task.id, False, "", "command", None, session_id, False, RunConfig(), worktree.path, worktree
    )
    run = store.runs.begin(new, data_paths.absolute("logs/")).result(PATIENCE)
    assert run is not None
    assert store.slots.settle(task.id).result(PATIENCE)
    store.runs.finish(run, Outcome(session_id=run.session_id, result="Done."), 3, 30).result(PATIENCE)
    return store.slots.rest(task.id, TaskState.SUCCEEDED, result="Done.", head_commit="b" * 40).result(PATIENCE)


def test_peewee_builds_nothing_in_the_life_of_a_run(store: Store, task: Task, built: list[str]) -> None:
    rested = live(store, task, Worktree("/w", "branch", "a" * 40))
    assert (rested.state, rested.run_count, rested.last_line, rested.slot) == (TaskState.SUCCEEDED, 1, 3, None)
    assert rested.worktree == Worktree("/w", "branch", "a" * 40, head_commit="b" * 40)
    assert built == []


def test_peewee_builds_nothing_while_a_task_is_put_back_and_held(store: Store, task: Task, built: list[str]) -> None:
    cause = Cause(HoldKind.TASK, task.id, "No memory.", FailureKind.MACHINE)
    for attempts in (1, 2):
        assert store.slots.claim(task.id, 1).result(PATIENCE) is not None
        store.slots.put_back(task.id, cause, timedelta()).result(PATIENCE)
        assert [(hold.cause, hold.attempts) for hold in store.holds.all()] == [(cause, attempts)]
    live(store, task, Worktree("/w", "branch", "a" * 40))
    assert store.holds.all() == []
    assert built == []


def test_what_is_written_out_stores_paths_relative_to_the_data(store: Store, task: Task, tmp_path: Path) -> None:
    worktree = Worktree(str(tmp_path / "worktrees" / "w"), "branch", "a" * 40, setup_log_path=str(tmp_path / "logs/s"))
    rested = live(store, task, worktree)
    assert (rested.worktree, rested.directory) == (replace(worktree, head_commit="b" * 40), worktree.path)
    stored = models.run("SELECT directory, path, setup_log_path FROM task JOIN worktree ON task_id = id").fetchall()
    assert stored == [("worktrees/w", "worktrees/w", "logs/s")]
    assert models.run("SELECT log_path FROM run").fetchone()[0].startswith("logs/")
