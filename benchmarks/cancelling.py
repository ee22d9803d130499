"""How long a cancel takes until no process of the run exists, beside killing the process group alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import taskgrove
from benchmarks.report import Report, Target
from benchmarks.sampling import median
from support import tasks_following, tasks_processes, tasks_trees, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import PATIENCE, until
from support.tasks_trees import Roll, Tree

#: Seconds of grace, for both, that those who ignore signals get.
GRACE = 0.5

COLUMNS = ("tree", "ours ms", "slowest ms", "at rest ms", "ours left", "bare ms", "bare left", "of processes")

#: What is to be ended, and whether its supervisor is killed first.
CASES = (
    ("a polite agent", tasks_trees.POLITE, False),
    ("tools in sessions of their own", tasks_trees.SESSIONS, False),
    ("children that ignore TERM", tasks_trees.IGNORING_CHILDREN, False),
    ("an agent and a tool that ignore TERM", tasks_trees.IGNORING_SESSIONS, False),
    ("daemons without environment", tasks_trees.DAEMONS, False),
    ("an agent frozen by SIGSTOP", tasks_trees.FROZEN, False),
    ("tools, supervisor killed first", tasks_trees.SESSIONS, True),
)


@dataclass(slots=True)
class Figures:
    """What came of all cancels of one kind."""

    #: Milliseconds till nothing was left, one figure a run.
    gone: list[float] = field(default_factory=list[float])
    #: Milliseconds till a watcher was told that the task rests; only of ours.
    rested: list[float] = field(default_factory=list[float])
    #: How many processes were left, one figure a run.
    left: list[float] = field(default_factory=list[float])


def run(*, quick: bool) -> Report:
    """Cancels each kind of tree some times, in turns with what it is measured beside."""
    report = Report("cancelling", "From Cancel till no process of the run exists, beside os.killpg", COLUMNS)
    graces = ("--sigterm-grace", str(GRACE), "--sweep-grace", str(GRACE))
    with (
        tempfile.TemporaryDirectory(prefix="tgb-") as scratch,
        RunningServer(*graces) as server,
        server.client() as client,
    ):
        left = 0.0
        for number, (what, tree, orphaned) in enumerate(CASES):
            ours, bare = Figures(), Figures()
            for turn in range(1 if quick else 5):
                path = Path(scratch) / f"roll-{number}-{turn}"
                try:
                    _ours(server, client, tree, Roll(path), ours, orphaned=orphaned)
                    _bare(tree, Roll(path.with_suffix(".bare")), bare)
                except Exception as error:  # noqa: BLE001 - told in the report
                    report.failures.append(f"{what}, run {turn}: {error!r}")
            left += sum(ours.left)
            _tell(report, what, tree, ours, bare)
        report.targets.append(Target("processes left by all cancels", left, 0))
    report.notes += [
        f"Who ignores TERM gets {GRACE:g} s instead of the default graces; an agent's own comes before a sweep's.",
        "Ours is from the call till no recorded process, no marker of the run in /proc and no inherited lock is left.",
        "These are looked at every few milliseconds; at rest is when a watcher had the task's rest, and that was seen.",
        f"Bare is TERM to the process group, {GRACE:g} s at most, KILL to the group, and a wait for the agent alone.",
        "What is left is a median of the process ids that the tree told; those of bare are ended by their ids.",
    ]
    return report


def _ours(
    server: RunningServer, client: taskgrove.Client, tree: Tree, roll: Roll, into: Figures, *, orphaned: bool
) -> None:
    task_list = tasks_work.make_list(client, roll.call(tree))
    task = client.enqueue(task_list.id, "Hang")
    pids: list[int] = []
    try:
        with Follower(client, task.id) as follower:
            follower.wait_for(
                lambda events: len(tasks_following.texts(events)) == tree.pids, f"{tree.pids} process ids"
            )
            pids += map(int, tasks_following.texts(follower.events))
            _wait_for_freeze(tree, pids)
            runs = list(client.list_runs(task.id))
            if orphaned:
                (supervisor,) = tasks_processes.supervisors(server)
                os.kill(supervisor, signal.SIGKILL)
            before = time.perf_counter()
            client.cancel(task.id)
            early = _wait_till_gone(follower, pids, roll, runs)
            gone = time.perf_counter()
            follower.rested()
            into.rested.append(1000 * (time.perf_counter() - before))
            into.gone.append(1000 * (gone - before))
            into.left.append(0)
        if early:
            raise RuntimeError("the task rested while processes of its run were there")
    except BaseException:
        left = _end(pids)
        if left:
            into.left.append(left)
        raise


def _wait_till_gone(follower: Follower, pids: list[int], roll: Roll, runs: list[taskgrove.Run]) -> bool:
    """Returns as soon as nothing is left; tells whether the task rested before."""
    early = False
    deadline = time.monotonic() + PATIENCE
    while True:
        rested = isinstance(follower.events[-1], taskgrove.Rested)
        # All of /proc is read only when what is quickly looked at is gone: the look would slow down what it looks at.
        if not any(map(tasks_processes.is_alive, pids)) and roll.is_empty() and not tasks_processes.of_runs(runs):
            return early
        early = early or rested
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes are left after {PATIENCE:g} s")
        time.sleep(0.002)


def _bare(tree: Tree, roll: Roll, into: Figures) -> None:
    with subprocess.Popen(
        roll.call(tree), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    ) as agent:
        pids: list[int] = []
        try:
            assert agent.stdout is not None
            pids += (int(agent.stdout.readline()) for _ in range(tree.pids))
            _wait_for_freeze(tree, pids)
            before = time.perf_counter()
            os.killpg(agent.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(GRACE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()
            into.gone.append(1000 * (time.perf_counter() - before))
            # Those that were killed may take a moment to end; those that were not stay.
            time.sleep(0.1)
            into.left.append(_end(pids))
        finally:
            _end(pids)
            agent.kill()
    until(roll.is_empty, f"the end of {tree.name}")


def _wait_for_freeze(tree: Tree, pids: list[int]) -> None:
    if tree is tasks_trees.FROZEN:
        until(lambda: tasks_processes.is_stopped(pids[0]), "the agent is stopped")


def _end(pids: list[int]) -> int:
    """Kills those processes that are left; returns how many there were."""
    left = [pid for pid in pids if tasks_processes.is_alive(pid)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _tell(report: Report, what: str, tree: Tree, ours: Figures, bare: Figures) -> None:
    report.samples |= {f"{what}: ours": ours.gone, f"{what}: at rest": ours.rested, f"{what}: bare": bare.gone}
    report.samples |= {f"{what}: ours left": ours.left, f"{what}: bare left": bare.left}
    if ours.gone and bare.gone:
        figures = (median(ours.gone), max(ours.gone), median(ours.rested), median(ours.left))
        report.rows.append((what, *figures, median(bare.gone), median(bare.left), str(tree.pids)))
