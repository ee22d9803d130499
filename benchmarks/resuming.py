"""What it takes to resume a watch near the end of a large log, and what that does to who asks something else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import taskgrove
from benchmarks.peers import resumer
from benchmarks.receiving import ROOT
from benchmarks.report import Report, Target
from benchmarks.sampling import median, percentile
from support import tasks_work
from support.server import RunningServer
from taskgrove_server.journal import line_index

#: Bytes of a line.
LINE = 300

SHORT = 1_000

#: Watches that begin each second, of as many watchers.
RATE = 100

COLUMNS = ("watches resumed", "first line p50 ms", "p99 ms", "GetTask p50 ms", "p99 ms", "GetTask to alone")

_ALONE = "none"
_ANEW = f"{resumer.SPREAD} at once, large log without index"

#: Milliseconds that finding a line of a large log may take.
MOST_ADDED = 5.0

#: What a call may take beside watches that are resumed, as a ratio to what it takes alone.
MOST_BESIDE = 2.0


@dataclass(frozen=True, slots=True)
class Log:
    """A task at rest, and how many lines its log has."""

    task: str
    lines: int


@dataclass(slots=True)
class Figures:
    """Milliseconds till the first line of each watch, and of each call beside them."""

    watches: list[float] = field(default_factory=list[float])
    calls: list[float] = field(default_factory=list[float])


def run(*, quick: bool) -> Report:
    """Resumes watches of a short and of a large log, in turns, and calls GetTask meanwhile."""
    size = (64 << 20) if quick else (1 << 30)
    report = Report("resuming", f"Watches that begin near the end of a log of {size >> 20} MiB", COLUMNS)
    rounds, seconds = (1, 0.5) if quick else (5, 3.0)
    with RunningServer() as server:
        with server.client() as client:
            tasks = [tasks_work.run(client, "true").id for _ in range(2)]
            logs = [Path(next(iter(client.list_runs(task))).log_path) for task in tasks]
        server.terminate()
        short, large = Log(tasks[0], SHORT), Log(tasks[1], size // LINE)
        for log, path in zip((short, large), logs, strict=True):
            _write(server, log, path)
        figures = _measure(server, short, large, rounds, seconds)
        anew = _measure_anew(server, large, logs[1], rounds)
    _tell(report, figures, anew)
    return report


def _write(server: RunningServer, log: Log, path: Path) -> None:
    """Gives a task a log of so many lines, as if it had written them."""
    with path.open("wb") as file:
        file.writelines(b"%0*d\n" % (LINE - 1, number) for number in range(log.lines))
    tasks_work.execute(
        server, "UPDATE run SET line_count = ?, log_size = ? WHERE task_id = ?", log.lines, log.lines * LINE, log.task
    )
    tasks_work.execute(server, "UPDATE task SET last_line = ? WHERE id = ?", log.lines, log.task)


def _measure(server: RunningServer, short: Log, large: Log, rounds: int, seconds: float) -> dict[str, Figures]:
    kinds: dict[str, tuple[Log, float] | None] = {
        _ALONE: None,
        _paced("short"): (short, RATE),
        _paced("large"): (large, RATE),
        _at_once("short"): (short, 0.0),
        _at_once("large"): (large, 0.0),
    }
    figures = {name: Figures() for name in kinds}
    with server.start().client() as client:
        _beside(server, client, large, 0.0, Figures())
        for _ in range(rounds):
            for name, kind in kinds.items():
                if kind is None:
                    _call(client, large.task, _until(time.perf_counter() + seconds), figures[name])
                else:
                    _beside(server, client, *kind, figures[name], seconds)
    server.terminate()
    return figures


def _measure_anew(server: RunningServer, large: Log, path: Path, rounds: int) -> Figures:
    """Measures the first watches of a log whose index is missing."""
    figures = Figures()
    for _ in range(rounds):
        line_index.path_of(str(path)).unlink()
        with server.start().client() as client:
            client.get_task(large.task)
            _beside(server, client, large, 0.0, figures)
        server.terminate()
    return figures


def _beside(
    server: RunningServer, client: taskgrove.Client, log: Log, rate: float, into: Figures, seconds: float = 0.0
) -> None:
    """Resumes watches for so many seconds, or all at once, and calls GetTask until the last has its line."""
    command = [sys.executable, "-m", resumer.__name__, server.target, log.task, str(log.lines - 10), str(rate)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        assert stdout.readline() == "ready\n"
        listener = threading.Thread(target=lambda: into.watches.extend(map(float, stdout)))
        listener.start()
        print("go", file=stdin, flush=True)
        if rate:
            _call(client, log.task, _until(time.perf_counter() + seconds), into)
            stdin.close()
        else:
            _call(client, log.task, listener.is_alive, into)
        listener.join()


def _until(end: float) -> Callable[[], bool]:
    return lambda: time.perf_counter() < end


def _call(client: taskgrove.Client, task: str, goes_on: Callable[[], bool], into: Figures) -> None:
    while goes_on():
        before = time.perf_counter()
        client.get_task(task)
        into.calls.append(1000 * (time.perf_counter() - before))


def _tell(report: Report, figures: dict[str, Figures], anew: Figures) -> None:
    figures = {**figures, _ANEW: anew}
    alone = median(figures[_ALONE].calls)
    for name, found in figures.items():
        watches = (median(found.watches), percentile(found.watches, 99)) if found.watches else (None, None)
        calls = median(found.calls)
        report.rows.append((name, *watches, calls, percentile(found.calls, 99), calls / alone))
        report.samples |= {f"{name}: first line ms": found.watches, f"{name}: GetTask ms": found.calls}
    paced = figures[_paced("large")]
    added = median(paced.watches) - median(figures[_paced("short")].watches)
    report.targets += [
        Target("first line of the large log, later than of the short one, ms", added, MOST_ADDED),
        Target(f"GetTask beside {_paced('large')}, to alone", median(paced.calls) / alone, MOST_BESIDE),
    ]
    report.notes += [
        f"A line has {LINE} bytes, the short log {SHORT:,} of them. Each watch begins about 10 lines before the end.",
        "One client makes the calls one after the other, another one resumes the watches, over a Unix socket.",
        "At once: as many watches as begin together cost this, whatever the log; its size shows between the rows.",
    ]


def _paced(log: str) -> str:
    return f"{RATE}/s, {log} log"


def _at_once(log: str) -> str:
    return f"{resumer.SPREAD} at once, {log} log"
