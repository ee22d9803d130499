"""Many days of a server's life in seconds: the real store, files and housekeeping, and a clock that is set.

What is simulated are the agents: the rows of a task that has been run are copied as often as tasks are done in a day,
with a log and a sandbox of its own for each.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from support import claims
from taskgrove_server.domain import clock, ids, log_names
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.guarding import Troubles
from taskgrove_server.runner.clearing import Clearing
from taskgrove_server.runner.housekeeping import Housekeeping
from taskgrove_server.runner.leftovers import Leftovers
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.runner.operations import Operations
from taskgrove_server.runner.retention import Retention, Spans
from taskgrove_server.runner.steady_time import SteadyTime
from taskgrove_server.runner.task_work import TaskWork
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

#: Seconds within which a change is on disk, and a round is over.
PATIENCE = 120.0

#: Bytes of each log, and characters of each description and result.
LOG = 4096
TEXT = 500

#: The tables with rows of tasks, and the columns that say of which.
_KEYS = {"task": "id", "run": "task_id", "request": "subject_id", "event": "task_id"}

EVENT_RETENTION = 7 * DAY
MOST_EVENTS = 100_000


class Month:
    """A data directory to which tasks are added day by day."""

    def __init__(self, root: Path, tasks_a_day: int, spans: Spans) -> None:
        self.tasks_a_day = tasks_a_day
        self.days = 0
        self._time = BEGIN
        self._real_now = clock.now
        #: What a task leaves in each table.
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self.logs, self.sandboxes = root / "logs", root / "sandboxes"
        for place in (self.logs, self.sandboxes):
            place.mkdir()
        self.database = root / "taskgrove.db"
        self.troubles = Troubles()
        self._store = Store(self.database, lambda _: None, self.troubles)
        worktrees = Worktrees(root / "worktrees", Author())
        works = TaskWork(self._store, worktrees)
        operations = Operations(self._store, works, worktrees.git, worktrees.locks)
        log_files = LogFiles(self._store, self.logs)
        leftovers = Leftovers((self.sandboxes,))
        clearing = Clearing(self._store, works, operations, worktrees, leftovers, log_files)
        steady_time = SteadyTime(self._store.retention.newest_change, self._passed)
        retention = Retention(self._store, clearing, log_files, spans, steady_time)
        self._chores: dict[str, Callable[[Callable[[], bool]], None]] = {
            "events": lambda _: _all(functools.partial(self._store.events.trim, EVENT_RETENTION, MOST_EVENTS)),
            "requests": lambda _: _all(functools.partial(self._store.requests.trim, EVENT_RETENTION)),
            "log files": log_files.remove_all,
            "log retention": retention.remove_logs,
            "task retention": retention.delete_tasks,
            "leftovers": leftovers.remove,
            "free pages": lambda _: _all(self._store.free_pages.give_back),
        }

    def __enter__(self) -> Self:
        clock.now = self._now
        self._take_the_rows_of_a_first_task()
        return self

    def __exit__(self, *_: object) -> None:
        clock.now = self._real_now
        self._store.close()

    def live_a_day(self) -> None:
        """Has tasks come to rest, and then a round of housekeeping."""
        self.add_a_day()
        self.keep_house()

    def add_a_day(self) -> None:
        """Has the tasks of a day come to rest."""
        self._copy()
        self._time += DAY
        self.days += 1

    def fill(self, size: int) -> None:
        """Makes the database larger by so many bytes that are free again."""
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database:
            with database:
                database.execute("CREATE TABLE filling (content BLOB)")
                database.executemany("INSERT INTO filling VALUES (zeroblob(?))", [(1 << 20,)] * (size >> 20))
            with database:
                database.execute("DROP TABLE filling")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def keep_house(self) -> None:
        """Waits for a round."""
        done = threading.Event()

        def tell(_stopped: Callable[[], bool]) -> None:
            done.set()

        chores = {**self._chores, "end": tell}
        housekeeping = Housekeeping(chores, self._store.close_connection, self.troubles)
        housekeeping.start()
        assert done.wait(PATIENCE)
        housekeeping.stop()

    def counts(self) -> dict[str, int]:
        """Returns how many rows and files there are."""
        tables = ("task", "run", "event", "request", "obsolete_file")
        with closing(sqlite3.connect(self.database)) as database:
            rows = {name: database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in tables}
        return {
            **rows,
            "log": sum(1 for _ in self.logs.iterdir()),
            "sandbox": sum(path.name != ".removed" for path in self.sandboxes.iterdir()),
        }

    def database_size(self) -> int:
        """Returns the bytes of the database, with its journal."""
        files = (self.database.with_name(f"{self.database.name}{suffix}") for suffix in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _now(self) -> datetime:
        return self._time

    def _passed(self) -> float:
        return (self._time - BEGIN).total_seconds()

    def _take_the_rows_of_a_first_task(self) -> None:
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(), now, now)
        self._store.task_lists.create(task_list).result(PATIENCE)
        task = Task(ids.new_task_id(), task_list.id, "Do it", "x" * TEXT, (), RunConfig(), TaskState.QUEUED, now, now)
        self._store.tasks.enqueue(task, RequestKey("first", "Enqueue", "x" * 64)).result(PATIENCE)
        claims.claim(self._store, 1)
        directory = str(self.sandboxes / task.id)
        new = NewRun(
            id=ids.new_run_id(),
            task_id=task.id,
            is_retry=False,
            prompt="x" * TEXT,
            agent="command",
            model=None,
            session_id=ids.new_session_id(),
            resumes=False,
            config=RunConfig(),
            directory=directory,
            worktree=None,
        )
        run = self._store.runs.begin(new, str(self.logs)).result(PATIENCE)
        assert run is not None
        outcome = Outcome(session_id=run.session_id, result="x" * TEXT, exit_code=0)
        self._store.runs.finish(run, outcome, 40, LOG).result(PATIENCE)
        self._store.slots.rest(task.id, TaskState.SUCCEEDED, result="x" * TEXT).result(PATIENCE)
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database, database:
            for table, key in _KEYS.items():
                columns = [name for (_, name, *_) in database.execute(f"PRAGMA table_info({table})")]
                found = database.execute(f"SELECT * FROM {table} WHERE {key} = ?", (task.id,))
                self._rows[table] = [dict(zip(columns, row, strict=True)) for row in found]
                database.execute(f"DELETE FROM {table} WHERE {key} = ?", (task.id,))

    def _copy(self) -> None:
        shift = round((self._time - BEGIN).total_seconds() * 10**6)
        step = 86_400 * 10**6 // self.tasks_a_day
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database, database:
            for number in range(self.tasks_a_day):
                new, time = ids.new_task_id(), shift + number * step
                sandbox = self.sandboxes / new
                self._insert(database, "task", {"id": new, "directory": str(sandbox)}, time)
                self._insert(database, "run", {"task_id": new, "id": ids.new_run_id()}, time)
                self._insert(database, "request", {"subject_id": new, "id": new}, time)
                self._insert(database, "event", {"task_id": new}, time)
                (self.logs / log_names.of_run(new, 1)).write_bytes(b"x" * LOG)
                sandbox.mkdir()
                (sandbox / "file").write_bytes(b"x")

    def _insert(self, database: sqlite3.Connection, table: str, values: dict[str, str], shift: int) -> None:
        """Copies the rows of the first task, with some other values, and with times that are later."""
        for row in self._rows[table]:
            copy = {
                name: value + shift if name.endswith("_time") and value is not None else value
                for name, value in row.items()
                if name != "sequence"
            } | values
            names, marks = ", ".join(copy), ", ".join("?" * len(copy))
            database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(copy.values()))


def _all(step: Callable[[], Future[int]]) -> None:
    while step().result(PATIENCE):
        pass
