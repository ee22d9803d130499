"""What it takes to show a task's work and to land it, beside git itself; and to catch up with the feed of events."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import taskgrove
from benchmarks.report import Report
from benchmarks.sampling import median
from support import repositories, tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE
from taskgrove.v1.task_pb2 import Task

SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH
MERGE = taskgrove.LandStrategy.LAND_STRATEGY_MERGE

COLUMNS = ("what", "ours ms", "git ms", "of git")

_IDENTITY = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")


def run(*, quick: bool) -> Report:
    """Does each thing some times, in turns with git."""
    report = Report("reviewing", "Showing and landing the work of a task, beside git itself", COLUMNS)
    files, changed, times, events = (200, 20, 2, 2_000) if quick else (5_000, 500, 7, 100_000)
    with RunningServer("--max-events", "1000000") as server, server.client() as client:
        bench = _Bench(client, server.root / "repository", files, changed)
        task = bench.task
        head = task.worktree.head_commit
        for what, ours, theirs in (
            (
                "status",
                lambda: client.get_worktree_status(task.id),
                bench.git("-C", task.worktree.path, "status", "-uall"),
            ),
            (
                f"{changed} changed files",
                lambda: list(client.list_changed_files(task.id, page_size=500)),
                bench.git("diff", "--raw", "--numstat", "-M", f"main...{head}"),
            ),
            ("their diff", lambda: client.diff_worktree(task.id), bench.git("diff", "-M", f"main...{head}")),
            ("can it land", lambda: client.check_land(task.id), bench.git("merge-tree", "--write-tree", "main", head)),
        ):
            bench.measure(report, what, ours, theirs, times)
        for strategy in (MERGE, SQUASH):
            bench.measure_landing(report, strategy, times)
        client.close()
        server.terminate()
        _fill(server.data / "taskgrove.db", events, task)
        server.start()
        with server.client() as reader:
            taken = [_timed(lambda: sum(1 for _ in reader.read_events())) for _ in range(max(1, times // 2))]
    report.rows.append((f"{events:,} events", median(taken), None, None))
    report.samples["events"] = taken
    report.notes += [
        f"A repository of {files:,} files, a task that changes {changed} of them by a line.",
        "Of a landing git's share is a merge in a checkout of its own, with its commit; ours moves the checkout too.",
        f"The feed is read by the Python client: {events / (median(taken) / 1000):,.0f} events/s.",
    ]
    return report


class _Bench:
    """A repository with a task that has changed files of it."""

    def __init__(self, client: taskgrove.Client, path: Path, files: int, changed: int) -> None:
        self._client = client
        names = {f"directory{number % 50}/file{number}": f"{number}\nline\n" * 20 for number in range(files)}
        self._path = repositories.make_repository(path, files=names)
        task_list = client.create_task_list("Bench", working_dir=self._path)
        command = f"for n in $(seq 0 {changed - 1}); do echo more >> directory$((n % 50))/file$n; done"
        queued = client.enqueue(task_list.id, "Change many", overrides=tasks_work.shell(command))
        self.task = client.wait(queued.id)
        assert self.task.state == Task.STATE_SUCCEEDED

    def git(self, *arguments: str) -> Callable[[], object]:
        """Returns what runs git in the repository."""
        return lambda: self._run(self._path, *arguments)

    def measure(
        self, report: Report, what: str, ours: Callable[[], object], theirs: Callable[[], object], times: int
    ) -> None:
        """Adds a row for what both do the same number of times."""
        pairs = [(_timed(ours), _timed(theirs)) for _ in range(times)]
        self._add(report, what, [one for one, _ in pairs], [other for _, other in pairs])

    def measure_landing(self, report: Report, strategy: taskgrove.LandStrategy, times: int) -> None:
        """Adds a row for landings, each of which is undone."""
        name = taskgrove.LandStrategy.Name(strategy).removeprefix("LAND_STRATEGY_").lower()
        before = repositories.head(self._path)
        copy = self._path.with_name("copy")
        mine: list[float] = []
        theirs: list[float] = []
        for _ in range(times):
            mine.append(_timed(lambda: self._client.land(self.task.id, strategy=strategy)))
            self._run(self._path, "reset", "--hard", "-q", before)
            self._run(self._path.parent, "clone", "-q", "--shared", str(self._path), str(copy))
            theirs.append(_timed(lambda: self._merge(copy, name)))
            shutil.rmtree(copy)
        self._add(report, f"land by {name}", mine, theirs)

    def _merge(self, copy: Path, name: str) -> None:
        how = ["--no-ff", "-m", "Merge"] if name == "merge" else ["--squash"]
        self._run(copy, *_IDENTITY, "merge", "-q", *how, self.task.worktree.head_commit)
        if name == "squash":
            self._run(copy, *_IDENTITY, "commit", "-qm", "Squash")

    @staticmethod
    def _run(path: Path, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, timeout=PATIENCE)

    @staticmethod
    def _add(report: Report, what: str, mine: list[float], theirs: list[float]) -> None:
        report.rows.append((what, median(mine), median(theirs), median(mine) / median(theirs)))
        report.samples |= {f"{what}: ours": mine, f"{what}: git": theirs}


def _timed(call: Callable[[], object]) -> float:
    """Returns the milliseconds that a call takes."""
    before = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - before)


def _fill(database: Path, count: int, task: Task) -> None:
    """Adds events to those of a stopped server."""
    with closing(sqlite3.connect(database)) as connection, connection:
        last, kind, task_id, task_list_id, made, detail = connection.execute(
            "SELECT sequence, kind, task_id, task_list_id, create_time, detail FROM event WHERE task_id = ? "
            "ORDER BY sequence DESC",
            (task.id,),
        ).fetchone()
        connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
            ((last + number, kind, task_id, task_list_id, made, detail) for number in range(1, count + 1)),
        )
