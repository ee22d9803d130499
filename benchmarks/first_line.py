"""From the call of Enqueue to the first line at a client that watches, beside git and the program alone."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

import taskgrove
from benchmarks import fake_claude
from benchmarks.report import Cell, Report, Target
from benchmarks.sampling import median
from support import repositories, tasks_raw, tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE, Gate
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

#: How many tasks the large rounds have, and so how many slots the server.
MANY = 20

#: Milliseconds that the way to the first line may take beyond git and the program, one task at a time.
BOUND = 8.0

#: As many files as a small project has.
FILES = 200

COLUMNS = (
    "agent, at once",
    "ours ms",
    "bare ms",
    "over ms",
    "ours, last ms",
    "bare, last ms",
    "ours: accepted",
    "worktree",
    "line",
    "bare: worktree",
    "line",
)

#: What is timed: returns the seconds of its parts once the gate is open. Whoever calls it takes the time.
Measured = Callable[[], Sequence[float]]


@dataclass(slots=True)
class Figures:
    """What came of all rounds of one kind, in milliseconds."""

    #: Till the first line: one figure a task.
    totals: list[float] = field(default_factory=list[float])
    #: Till the last of those at once has its first line: one figure a round.
    lasts: list[float] = field(default_factory=list[float])
    #: What the totals are made of.
    parts: list[Sequence[float]] = field(default_factory=list[Sequence[float]])

    def part(self, index: int) -> float:
        """Returns the median of one part."""
        return median([parts[index] for parts in self.parts])


@dataclass(frozen=True, slots=True)
class Ours:
    """Starts tasks of one list and watches them."""

    client: taskgrove.Client
    tasks: TaskServiceStub
    task_list: str

    def start(self) -> Measured:
        """Returns as soon as the first line of a new task has come."""
        called = time.time()
        task = self.client.enqueue(self.task_list, "Measure the way to the first line")
        messages = tasks_raw.watch(self.tasks, task.id)
        next(message for message in messages if message.HasField("lines"))
        seen = time.time()
        return lambda: self._parts(called, seen, messages)

    def _parts(self, called: float, seen: float, messages: Iterator[tasks_raw.Message]) -> Sequence[float]:
        *_, last = messages
        task = last.rested.task
        if task.state != Task.STATE_SUCCEEDED:
            raise RuntimeError(f"the task did not succeed: {task.failure.message}")
        (run,) = self.client.list_runs(task.id)
        moments = (task.create_time, run.start_time)
        stages = (called, *(moment.ToMicroseconds() / 1e6 for moment in moments), seen)
        return [after - before for before, after in itertools.pairwise(stages)]


class Bare:
    """Makes worktrees and starts the same program in them, with git and nothing else."""

    def __init__(self, repository: Path, directory: Path, argv: Sequence[str]) -> None:
        self._repository = repository
        self._directory = directory
        self._argv = argv
        self._numbers = itertools.count()

    def start(self) -> Measured:
        """Returns as soon as the first line of the program has come."""
        name = f"bare-{next(self._numbers)}"
        path = self._directory / name
        called = time.time()
        add = ("worktree", "add", "--quiet", "--no-track", "-b", name, str(path))
        added = subprocess.run(
            ["git", "-C", str(self._repository), *add], capture_output=True, timeout=PATIENCE, check=False
        )
        if added.returncode:
            raise RuntimeError(f"git worktree add failed: {added.stderr.decode(errors='replace').strip()}")
        checked_out = time.time()
        program = subprocess.Popen(self._argv, cwd=path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert program.stdout is not None
        program.stdout.readline()
        seen = time.time()
        return lambda: self._parts(program, (called, checked_out, seen))

    def _parts(self, program: subprocess.Popen[bytes], stages: Sequence[float]) -> Sequence[float]:
        program.communicate(timeout=PATIENCE)
        return [after - before for before, after in itertools.pairwise(stages)]


def run(*, quick: bool) -> Report:
    """Measures both agents, one task at a time and many at once, in turns with what they are measured beside."""
    report = Report("first_line", "From Enqueue to the first line, beside git worktree add and a spawn", COLUMNS)
    with tempfile.TemporaryDirectory(prefix="tgb-") as scratch:
        root = Path(scratch)
        gate = root / "gate"
        with Gate(gate) as shut:
            wait = shut.pass_through
        script = f"echo '{fake_claude.INIT}'\n{wait}\necho '{fake_claude.RESULT}'"
        program = fake_claude.write(root / "claude", script)
        line = f"echo started; {wait}"
        files = 20 if quick else FILES
        repository = _make_repository(root / "repository", files)
        with (
            RunningServer("--slots", str(MANY), "--claude", str(program)) as server,
            server.client() as client,
            tasks_raw.stub(server) as tasks,
        ):
            claude = client.create_task_list("Claude", working_dir=repository)
            command = tasks_work.make_list(client, line, repository)
            rivals = {
                "claude": (Ours(client, tasks, claude.id), Bare(repository, root / "bare-claude", [str(program)])),
                "command": (
                    Ours(client, tasks, command.id),
                    Bare(repository, root / "bare-command", ["/bin/sh", "-c", line]),
                ),
            }
            for agent, (ours, bare) in rivals.items():
                for count, rounds in ((1, 1), (5, 1)) if quick else ((1, 50), (MANY, 8)):
                    what = f"{agent}, {count}"
                    figures = _measure(report, what, (ours, bare), count, rounds, gate, repository)
                    _tell(report, what, count, *figures)
    report.notes += [
        f"Medians over all tasks, in a repository of {files} files; 'last' is till all of a round have their line.",
        "Bare is git worktree add and the same program, from one thread for each task, without any lock.",
        "Ours is the sum of: called till accepted; claimed, its worktree made and its run recorded; line received.",
        "The command agent passes the program's output through a wrapper, which the bare program does without.",
    ]
    return report


def _make_repository(path: Path, files: int) -> Path:
    text = "value = 1\n" * 100
    return repositories.make_repository(path, {f"package_{n % 20}/module_{n}.py": text for n in range(files)})


def _measure(
    report: Report, what: str, rivals: tuple[Ours, Bare], count: int, rounds: int, gate: Path, repository: Path
) -> tuple[Figures, Figures]:
    figures = (Figures(), Figures())
    for number in range(rounds + 1):
        # Neither is always the first, which has it easier: the second finds more branches and worktrees.
        for index in (0, 1) if number % 2 else (1, 0):
            # The first round warms up.
            into = figures[index] if number else Figures()
            failed = _round(rivals[index].start, count, gate, into)
            if failed:
                who = f"{what} at once, {'bare' if index else 'ours'}"
                report.failures.append(f"{who}: {len(failed)} of {count} in round {number}, the first with {failed[0]}")
        _clear(repository)
    return figures


def _round(start: Callable[[], Measured], count: int, gate: Path, into: Figures) -> list[str]:
    """Adds the figures of so many starts at once; returns what went wrong."""
    begin = threading.Barrier(count)

    def timed() -> tuple[float, Measured]:
        begin.wait(PATIENCE)
        before = time.perf_counter()
        parts = start()
        return time.perf_counter() - before, parts

    failures: list[str] = []
    started: list[tuple[float, Measured]] = []
    with futures.ThreadPoolExecutor(count) as pool:
        # The programs stay until all first lines have come, as agents do: none tidies up while others start.
        with Gate(gate):
            for future in [pool.submit(timed) for _ in range(count)]:
                try:
                    started.append(future.result())
                except Exception as error:  # noqa: BLE001 - told in the report
                    failures.append(repr(error))
        for total, parts in started:
            try:
                into.parts.append([1000 * part for part in parts()])
                into.totals.append(1000 * total)
            except Exception as error:  # noqa: BLE001 - as above
                failures.append(repr(error))
    if started:
        into.lasts.append(1000 * max(total for total, _ in started))
    return failures


def _clear(repository: Path) -> None:
    """Removes all worktrees and their branches, of which git grows slower."""
    for path in repositories.worktree_paths(repository):
        shutil.rmtree(path)
        # Twice: those of the server are locked.
        repositories.git(repository, "worktree", "remove", "--force", "--force", path)
    repositories.git(repository, "branch", "-D", *(set(repositories.branches(repository)) - {"main"}))


def _tell(report: Report, what: str, count: int, ours: Figures, bare: Figures) -> None:
    report.samples |= {f"{what}: ours": ours.totals, f"{what}: bare": bare.totals}
    if not (ours.parts and bare.parts):
        return
    over = median(ours.totals) - median(bare.totals)
    parts: list[Cell] = [*(ours.part(index) for index in range(3)), *(bare.part(index) for index in range(2))]
    lasts = (median(ours.lasts), median(bare.lasts))
    report.rows.append((what, median(ours.totals), median(bare.totals), over, *lasts, *parts))
    if count == 1:
        report.targets.append(Target(f"{what} at a time: ms over git and the program", over, BOUND))
