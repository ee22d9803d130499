"""How long the server takes to serve: over nothing, and over many stored tasks with runs that it has to adopt."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import taskgrove
from benchmarks import stored_tasks
from benchmarks.report import Report, Target
from benchmarks.sampling import median
from support import tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE, until
from taskgrove.v1.task_pb2 import Task

#: Seconds within which a server with all these tasks and runs is to serve.
BOUND = 2.0

STORED = 10_000

RUNS = 30

#: Seconds that a sweep gives those who ignore signals, for which the server is not to wait.
GRACE = 0.5

COLUMNS = ("server over", "serves s", "slowest s", "to imports alone", "runs ended s")

_IMPORTS = "a bare import of grpc, peewee and git"
_EMPTY = "an empty directory"


@dataclass(frozen=True, slots=True)
class Crowd:
    """A server whose slots are all taken by endless tasks, over a directory with many others."""

    server: RunningServer
    task_list: str
    #: Where each of the tasks notes its process id.
    noted: Path
    runs: int

    def pids(self) -> list[int]:
        """Returns the process ids of all that has ever run."""
        return [int(line) for line in self.noted.read_text().splitlines()] if self.noted.exists() else []

    def alive(self) -> list[int]:
        """Returns the process ids of those that run."""
        return [pid for pid in self.pids() if tasks_processes.is_alive(pid)]

    def fill(self, client: taskgrove.Client) -> None:
        """Fills all slots; those that were stored as waiting come first."""
        for _ in range(self.runs):
            client.enqueue(self.task_list, "Hang")
        until(lambda: len(self.alive()) == self.runs, f"{self.runs} runs", patience=2 * PATIENCE)
        for task in client.list_tasks(states=[Task.STATE_QUEUED]):
            client.cancel(task.id)


def run(*, quick: bool) -> Report:
    """Starts servers over each kind of directory some times."""
    report = Report("starting", "From the start of the process till it serves", COLUMNS)
    times, stored, runs = (1, 1_000, 5) if quick else (5, STORED, RUNS)
    adopted = f"{stored:,} tasks, {runs} runs to adopt"
    orphaned = f"{stored:,} tasks, {runs} runs without supervisors"
    figures: dict[str, list[float]] = {_IMPORTS: [_import() for _ in range(times)]}
    figures[_EMPTY] = [_start_over_nothing() for _ in range(times)]
    with _crowd(stored, runs) as crowd:
        figures[adopted] = [_adopt(crowd, report) for _ in range(times)]
    ends: list[float] = []
    with _crowd(stored, runs) as crowd:
        figures[orphaned] = [_sweep(crowd, report, ends) for _ in range(times)]
    report.samples |= {**figures, f"{orphaned}: ended": ends}
    base = median(figures[_IMPORTS])
    for what, taken in figures.items():
        ended = median(ends) if what == orphaned else None
        report.rows.append((what, median(taken), max(taken), median(taken) / base, ended))
    report.targets.append(Target(f"{adopted}: seconds", median(figures[adopted]), BOUND))
    report.targets.append(Target(f"{orphaned}: seconds", median(figures[orphaned]), BOUND))
    report.notes += [
        "A server serves when it says so in its log, which is looked at every 20 ms. It was killed by SIGKILL before.",
        "Runs without supervisors: these were killed too, and what they left ignores TERM.",
        f"Ended is from the start of the server till all of that is gone, with a grace of {GRACE:g} s.",
    ]
    return report


def _import() -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import grpc, peewee, git"], check=True, timeout=PATIENCE)
    return time.perf_counter() - before


def _start_over_nothing() -> float:
    before = time.perf_counter()
    with RunningServer():
        return time.perf_counter() - before


@contextlib.contextmanager
def _crowd(stored: int, runs: int) -> Generator[Crowd, None, None]:
    with RunningServer("--slots", str(runs), "--sweep-grace", str(GRACE)) as server:
        noted = server.root / "noted"
        command = f"trap '' HUP INT TERM; echo $$ >> {noted}; sleep 1000; sleep 1000"
        with server.client() as client:
            large, *others = (tasks_work.make_list(client, command).id for _ in range(3))
        server.terminate()
        stored_tasks.fill(server.data / "taskgrove.db", stored, large, others)
        crowd = Crowd(server, large, noted, runs)
        try:
            with server.start().client() as client:
                crowd.fill(client)
            yield crowd
        finally:
            server.kill()
            _kill(tasks_processes.supervisors(server))
            _kill(crowd.alive())


def _adopt(crowd: Crowd, report: Report) -> float:
    before = set(crowd.alive())
    crowd.server.kill()
    taken = _start(crowd.server)
    with crowd.server.client() as client:
        running = len(list(client.list_tasks(states=[Task.STATE_RUNNING])))
    if running != crowd.runs or set(crowd.alive()) != before:
        report.failures.append(f"{running} of {crowd.runs} tasks run, and {len(crowd.alive())} processes")
    return taken


def _sweep(crowd: Crowd, report: Report, ends: list[float]) -> float:
    crowd.server.kill()
    _kill(tasks_processes.supervisors(crowd.server))
    before = time.perf_counter()
    orphans = crowd.alive()
    if len(orphans) != crowd.runs:
        report.failures.append(f"{len(orphans)} of {crowd.runs} processes are there without their supervisors")
    taken = _start(crowd.server)
    until(lambda: not any(map(tasks_processes.is_alive, orphans)), "the end of the orphans")
    ends.append(time.perf_counter() - before)
    with crowd.server.client() as client:
        until(lambda: not list(client.list_tasks(states=[Task.STATE_RUNNING])), "the rest of the tasks")
        crowd.fill(client)
    return taken


def _start(server: RunningServer) -> float:
    before = time.perf_counter()
    server.start()
    return time.perf_counter() - before


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
