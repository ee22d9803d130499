"""What it takes to show a task's work and to land it, beside git itself; and to catch up with the feed of events."""

from __future__ import annotations

import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import taskgrove
from benchmarks.peers.needed_git import NeededGit
from benchmarks.report import Report, Target
from benchmarks.sampling import median
from support import repositories, tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE
from taskgrove.v1.task_pb2 import Task

SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH
MERGE = taskgrove.LandStrategy.LAND_STRATEGY_MERGE

#: What a look at work may take, beside the git commands that it needs.
MOST = 2.0

COLUMNS = ("what", "ours ms", "git ms", "of git")

_IDENTITY = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")

#: The command line, as it was installed beside the interpreter.
_COMMAND = Path(sys.executable).with_name("taskgrove")


def run(*, quick: bool) -> Report:
    """Does each thing some times, in turns with git."""
    report = Report("reviewing", "Showing and landing the work of a task, beside git itself", COLUMNS)
    files, changed, many, times, events = (200, 20, 400, 2, 2_000) if quick else (5_000, 500, 20_000, 7, 100_000)
    with RunningServer("--max-events", "1000000") as server, server.client() as client:
        bench = _Bench(client, server.root / "repository", files, changed)
        bench.measure_looks(report, times)
        for strategy in (MERGE, SQUASH):
            bench.measure_landing(report, strategy, times)
        large = _Bench(client, server.root / "large", many, many)
        large.measure_looks(report, times)
        large.measure_commands(report, server, times)
        client.close()
        server.terminate()
        _fill(server.data / "taskgrove.db", events)
        server.start()
        with server.client() as reader:
            taken = [_timed(lambda: sum(1 for _ in reader.read_events())) for _ in range(max(1, times // 2))]
    report.rows.append((f"{events:,} events", median(taken), None, None))
    report.samples["events"] = taken
    report.notes += [
        f"A repository of {files:,} files of which a task changes {changed} by a line; one of {many:,}, and all of it.",
        "Git's share of a look are the commands that it needs, one after the other; of the command line's, `git diff`.",
        "Nothing is packed: all objects are as runs have written them.",
        "Each listing is made anew: before it, an empty commit makes the work another one than the server has kept.",
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
        # Or git would pack in the midst of it what a run has just written, and read it faster from then on.
        self._run(self._path, "config", "gc.auto", "0")
        self._changed = changed
        task_list = client.create_task_list("Bench", working_dir=self._path)
        command = f"for n in $(seq 0 {changed - 1}); do echo more >> directory$((n % 50))/file$n; done"
        queued = client.enqueue(task_list.id, "Change many", overrides=tasks_work.shell(command))
        self.task = client.wait(queued.id)
        assert self.task.state == Task.STATE_SUCCEEDED

    def measure_looks(self, report: Report, times: int) -> None:
        """Adds rows for what people look at."""
        client, task_id, git = self._client, self.task.id, NeededGit(self._path, self.task)
        self._look(report, "status", lambda: client.get_worktree_status(task_id), git.status, times)
        self._look(report, "list", lambda: list(client.list_changed_files(task_id)), git.changed_files, times)
        self._look(report, "check", lambda: client.check_land(task_id), git.check, times)
        what = f"diff of {self._changed:,} changed files"
        self._measure(report, what, lambda: client.diff_worktree(task_id), git.diff(), times)

    def measure_commands(self, report: Report, server: RunningServer, times: int) -> None:
        """Adds rows for the command line, whose interpreter alone takes as long to start as git for 5,000 files."""
        git = NeededGit(self._path, self.task)
        for option, theirs in (("--stat", git.diff("--stat")), ("--json", git.diff("--raw", "--numstat"))):
            ours = functools.partial(self._command, server, option)
            self._look(report, f"taskgrove diff {option}", ours, theirs, times)

    def _look(
        self, report: Report, what: str, ours: Callable[[], object], theirs: Callable[[], object], times: int
    ) -> None:
        of = f"{what} of {self._changed:,} changed files"
        ratio = self._measure(report, of, ours, theirs, times)
        report.targets.append(Target(f"{of}, beside the git commands that it needs", ratio, MOST))

    def _command(self, server: RunningServer, option: str) -> None:
        command = [str(_COMMAND), "--target", server.target, "diff", self.task.id, option]
        environment = {**os.environ, "HOME": str(server.home)}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=PATIENCE)

    def _measure(
        self, report: Report, what: str, ours: Callable[[], object], theirs: Callable[[], object], times: int
    ) -> float:
        """Adds a row for what both do the same number of times, and returns how many times git's time ours is."""
        mine: list[float] = []
        others: list[float] = []
        for _ in range(times):
            self._run(Path(self.task.worktree.path), *_IDENTITY, "commit", "--allow-empty", "-qm", "Again")
            mine.append(_timed(ours))
            others.append(_timed(theirs))
        return self._add(report, what, mine, others)

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
    def _add(report: Report, what: str, mine: list[float], theirs: list[float]) -> float:
        ratio = median(mine) / median(theirs)
        report.rows.append((what, median(mine), median(theirs), ratio))
        report.samples |= {f"{what}: ours": mine, f"{what}: git": theirs}
        return ratio


def _timed(call: Callable[[], object]) -> float:
    """Returns the milliseconds that a call takes."""
    before = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - before)


def _fill(database: Path, count: int) -> None:
    """Adds events to those of a stopped server."""
    with closing(sqlite3.connect(database)) as connection, connection:
        last, kind, task_id, task_list_id, made, detail = connection.execute(
            "SELECT sequence, kind, task_id, task_list_id, create_time, detail FROM event ORDER BY sequence DESC"
        ).fetchone()
        connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
            ((last + number, kind, task_id, task_list_id, made, detail) for number in range(1, count + 1)),
        )
