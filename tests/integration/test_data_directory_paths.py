"""Paths in the data directory are right wherever it is, also in databases that kept them absolute."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import data_directories
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.event import EventFilter, EventKind
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.store import data_paths
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store


class Kept:
    """A store with a task that has a worktree, and one that has a sandbox."""

    def __init__(self, root: Path, places: Path | None = None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        places = places or root
        self.store = Store(root / "taskgrove.db", lambda _: None)
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", "/repository", RunConfig(), now, now)
        self.store.task_lists.create(task_list).result(10)
        self.tasks = [self._task(task_list, name) for name in ("one", "two")]
        one, two = (task.id for task in self.tasks)
        worktree = Worktree(
            path=str(places / "worktrees" / f"{one}-2"),
            branch="taskgrove/it",
            base_commit="0" * 40,
            setup_log_path=str(places / "logs" / f"{one}_setup.log"),
        )
        self._run(self.tasks[0], f"{worktree.path}/packages/app", worktree)
        self._run(self.tasks[1], str(places / "sandboxes" / two), None)

    def _task(self, task_list: TaskList, title: str) -> Task:
        now = clock.now()
        task = Task(ids.new_task_id(), task_list.id, title, "", (), RunConfig(), TaskState.QUEUED, now, now)
        self.store.tasks.enqueue(task).result(10)
        self.store.slots.claim(task.id, 1).result(10)
        return task

    def _run(self, task: Task, directory: str, worktree: Worktree | None) -> None:
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
            directory=directory,
            worktree=worktree,
        )
        run = self.store.runs.begin(new, str(self.root / "logs")).result(10)
        assert run is not None
        self.store.runs.finish(run, Outcome(), 0, 0).result(10)
        self.store.slots.rest(task.id, TaskState.SUCCEEDED, head_commit="1" * 40 if worktree else None).result(10)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    yield kept
    kept.store.close()


def paths(store: Store, tasks: list[Task]) -> list[str | None]:
    """Returns all paths that a store tells."""
    found: list[str | None] = []
    for task in tasks:
        now, run = store.tasks.get(task.id), store.runs.latest(task.id)
        assert run is not None
        found += [now.directory, run.log_path]
        if now.worktree:
            found += [now.worktree.path, now.worktree.setup_log_path]
    told = store.events.page(0, EventFilter(kinds=frozenset({EventKind.WORKTREE_UPDATED}))).events
    assert len(told) == 2
    for event in told:
        assert event.worktree is not None
        found += [event.worktree.path, event.worktree.setup_log_path]
    return found


def expected(root: Path, tasks: list[Task]) -> list[str | None]:
    one, two = (task.id for task in tasks)
    worktree: list[str | None] = [f"{root}/worktrees/{one}-2", f"{root}/logs/{one}_setup.log"]
    return [
        f"{root}/worktrees/{one}-2/packages/app",
        f"{root}/logs/{one}_run1.ndjson",
        *worktree,
        f"{root}/sandboxes/{two}",
        f"{root}/logs/{two}_run1.ndjson",
        *worktree,
        *worktree,
    ]


def test_paths_follow_a_directory_that_is_moved(kept: Kept, tmp_path: Path) -> None:
    assert paths(kept.store, kept.tasks) == expected(kept.root.resolve(), kept.tasks)
    kept.store.close()
    kept.root.rename(tmp_path / "moved")
    kept.store = Store(tmp_path / "moved" / "taskgrove.db", lambda _: None)
    assert paths(kept.store, kept.tasks) == expected((tmp_path / "moved").resolve(), kept.tasks)


@pytest.mark.parametrize("root", ["/srv/taskgrove", "/worktrees/logs/sandboxes", "/däta 'x'", ""])
def test_a_database_with_absolute_paths_is_read_wherever_it_was(kept: Kept, root: str) -> None:
    kept.store.close()
    data_directories.make_absolute(kept.root, root)
    kept.store = Store(kept.root / "taskgrove.db", lambda _: None)
    assert paths(kept.store, kept.tasks) == expected(kept.root.resolve(), kept.tasks)


def test_a_path_elsewhere_stays_as_it_is(kept: Kept) -> None:
    kept.store.close()
    data_directories.make_absolute(kept.root, "/srv/taskgrove")
    task = kept.tasks[1].id
    with contextlib.closing(sqlite3.connect(kept.root / "taskgrove.db")) as raw, raw:
        raw.execute("UPDATE task SET directory = '/elsewhere/it' WHERE id = ?", (task,))
        raw.execute("UPDATE run SET log_path = '/elsewhere/it.ndjson' WHERE task_id = ?", (task,))
    kept.store = Store(kept.root / "taskgrove.db", lambda _: None)
    run = kept.store.runs.latest(task)
    assert run is not None
    assert (kept.store.tasks.get(task).directory, run.log_path) == ("/elsewhere/it", "/elsewhere/it.ndjson")


def test_a_link_to_the_directory_makes_no_difference(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    kept = Kept(tmp_path / "link" / "data")
    assert paths(kept.store, kept.tasks) == expected((tmp_path / "real" / "data").resolve(), kept.tasks)
    kept.store.close()


def test_a_part_that_is_a_link_is_told_where_it_is(tmp_path: Path) -> None:
    """Git tells the place of a worktree without links, and is compared with."""
    large = (tmp_path / "large disk").resolve()
    for part in ("logs", "worktrees", "sandboxes"):
        (large / part).mkdir(parents=True)
    root = tmp_path / "data"
    root.mkdir()
    for part in ("logs", "worktrees", "sandboxes"):
        (root / part).symlink_to(large / part)
    kept = Kept(root, places=large)
    assert paths(kept.store, kept.tasks) == expected(large, kept.tasks)
    kept.store.close()
    data_directories.make_absolute(root, str(large))
    kept.store = Store(root / "taskgrove.db", lambda _: None)
    assert paths(kept.store, kept.tasks) == expected(large, kept.tasks)
    kept.store.close()


def test_the_directory_beside_it_is_another(kept: Kept) -> None:
    data_paths.bind(kept.root)
    beside = f"{kept.root}/logs-2/file"
    assert data_paths.stored(beside) == data_paths.absolute(beside) == beside
    assert data_paths.stored(f"{kept.root}/logs/file") == "logs/file"
