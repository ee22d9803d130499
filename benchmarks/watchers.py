"""What watchers cost the server in memory, and what those that do not read cost the others."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass

from benchmarks import sampling, serving
from benchmarks.peers import http2
from benchmarks.peers.plan import Plan
from benchmarks.receiving import Received, Receiver, ReceiverFailed
from benchmarks.report import Report, Target
from benchmarks.serving import Emission, Server, Taskgroved

COLUMNS = ("what", "taskgroved", "beside it", "which is")

NOTES = (
    "Memory is the server's resident set. Each watcher has a connection of its own.",
    "Per idle watcher: what the set grows by from the first watchers to all, divided by those between.",
    "Stalled: a client that is sent the 64 KiB that HTTP/2 grants at first, and reads nothing of them.",
    "In trouble: one client that reads once in 50 ms, one that is stopped (SIGSTOP), one that is killed (SIGKILL).",
)

BARE = "a bare grpc.aio stream"

#: Seconds until a server's memory is as it stays.
_SETTLING = 1.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    repetitions: int
    first_idle: int
    all_idle: int
    stalled_lines: int
    fast_lines: int
    paced_lines: int


FULL = Scale(3, 100, 1000, 50_000, 50_000, 2000)
QUICK = Scale(1, 10, 60, 2_000, 2_000, 200)

#: Watchers that are not in trouble, and lines a second while their latencies are measured.
HEALTHY = 10
RATE = 1000.0


def run(*, quick: bool) -> Report:
    """Measures idle watchers, a stalled one, and those beside others that are in trouble."""
    report = Report("watchers", "Watchers: their memory, and those in trouble", COLUMNS, notes=list(NOTES))
    scale = QUICK if quick else FULL
    for _ in range(scale.repetitions):
        with _trying(report, "idle watchers"):
            _measure_idle(report, scale)
        with serving.taskgroved() as ours:
            with _trying(report, "a stalled watcher"):
                _measure_stalled(report, ours, scale.stalled_lines)
            with _trying(report, "watchers in trouble"):
                _measure_trouble(report, ours, scale)
    _add_rows(report, scale)
    return report


@contextlib.contextmanager
def _trying(report: Report, what: str) -> Generator[None, None, None]:
    try:
        yield
    except ReceiverFailed as failure:
        report.failures.append(f"{what}: {failure}")


def _keep(report: Report, name: str, value: float) -> None:
    report.samples.setdefault(name, []).append(value)


def _measure_idle(report: Report, scale: Scale) -> None:
    with serving.taskgroved() as ours:
        # Its gate is never opened, so that there is nothing to send.
        task_id = ours.emit(Emission(1, gate=str(ours.directory / "gate")))
        _keep(report, "idle KB", _idle_memory(ours, ours.plan(task_id, 1, 1), scale))
        path = Emission(1, gate=str(ours.directory / "peer_gate")).write(ours.directory / "peer_emission.json")
        with serving.bare_stream({}, path) as bare:
            _keep(report, "idle KB, bare", _idle_memory(bare, bare.plan("live", 1, 1), scale))
        ours.cancel(task_id)


def _idle_memory(server: Server, plan: Plan, scale: Scale) -> float:
    """Returns the KB that a watcher takes which is sent nothing."""
    more = scale.all_idle - scale.first_idle
    with _watching(dataclasses.replace(plan, watchers=scale.first_idle)):
        before = _settled_memory(server.pid)
        with _watching(dataclasses.replace(plan, watchers=more)):
            return (_settled_memory(server.pid) - before) / more / 1000


def _watching(plan: Plan) -> Receiver:
    """Returns a client whose watchers have all been let in."""
    receiver = Receiver(plan)
    try:
        return receiver.connect().request().open()
    except BaseException:
        receiver.close()
        raise


def _settled_memory(pid: int) -> float:
    time.sleep(_SETTLING)
    return sampling.usage(pid).resident


def _measure_stalled(report: Report, ours: Taskgroved, lines: int) -> None:
    """Compares the growth while a watcher is stalled to the growth while none is, after as much without measuring."""
    _grown_memory(ours, lines, stalled=False)
    _keep(report, "growth MB", _grown_memory(ours, lines, stalled=False))
    _keep(report, "growth MB, stalled", _grown_memory(ours, lines, stalled=True))


def _grown_memory(ours: Taskgroved, lines: int, *, stalled: bool) -> float:
    """Returns the MB that the server has grown by when another watcher has received all lines."""
    emission, plan = _emit(ours, lines)
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(_watching(plan))
        if stalled:
            stack.enter_context(_watching(dataclasses.replace(plan, window=http2.DEFAULT_WINDOW)))
        before = _settled_memory(ours.pid)
        emission.start()
        _complete(receiver.result())
        return (_settled_memory(ours.pid) - before) / 1e6


def _measure_trouble(report: Report, ours: Taskgroved, scale: Scale) -> None:
    for trouble in (False, True):
        suffix = ", trouble" if trouble else ""
        received = _beside(ours, scale.fast_lines, 0.0, trouble=trouble)
        _keep(report, f"deliveries/s{suffix}", received.deliveries / received.seconds)
        received = _beside(ours, scale.paced_lines, RATE, trouble=trouble)
        _keep(report, f"p50 ms{suffix}", received.p50)
        _keep(report, f"p99 ms{suffix}", received.p99)


def _beside(ours: Taskgroved, lines: int, rate: float, *, trouble: bool) -> Received:
    """Returns what healthy watchers receive, beside others in trouble or alone."""
    emission, plan = _emit(ours, lines, rate)
    with contextlib.ExitStack() as stack:
        healthy = dataclasses.replace(plan, watchers=HEALTHY, latencies=rate > 0)
        receiver = stack.enter_context(_watching(healthy))
        troubled: list[Receiver] = []
        if trouble:
            plans = (dataclasses.replace(plan, pause=0.05), plan, plan)
            troubled += [stack.enter_context(_watching(one)) for one in plans]
        emission.start()
        for client, number in zip(troubled, (0, signal.SIGSTOP, signal.SIGKILL), strict=False):
            os.kill(client.pid, number)
        return _complete(receiver.result())


def _emit(ours: Taskgroved, lines: int, rate: float = 0.0) -> tuple[Emission, Plan]:
    emission = Emission(lines, rate, str(ours.directory / "gate"))
    return emission, ours.plan(ours.emit(emission), lines, 1)


def _complete(received: Received) -> Received:
    if received.faults:
        raise ReceiverFailed(f"{received.short} watchers lack lines: {received.faults[0]}")
    return received


def _add_rows(report: Report, scale: Scale) -> None:
    middle = {name: sampling.median(values) for name, values in report.samples.items()}
    without = "without it"
    for what, ours, beside, which in (
        (f"KB per idle watcher, {scale.first_idle} to {scale.all_idle}", "idle KB", "idle KB, bare", BARE),
        (
            f"MB of growth with a stalled watcher, {scale.stalled_lines:,} lines",
            "growth MB, stalled",
            "growth MB",
            without,
        ),
        (f"deliveries/s to {HEALTHY} watchers beside 3 in trouble", "deliveries/s, trouble", "deliveries/s", without),
        (f"p50 ms of {HEALTHY} watchers beside 3 in trouble", "p50 ms, trouble", "p50 ms", without),
        (f"p99 ms of {HEALTHY} watchers beside 3 in trouble", "p99 ms, trouble", "p99 ms", without),
    ):
        report.rows.append((what, middle.get(ours), middle.get(beside), which))
    if "idle KB" in middle:
        report.targets.append(Target("KB per idle watcher", middle["idle KB"], 48))
    if "growth MB, stalled" in middle:
        report.targets.append(Target("MB of growth with a stalled watcher", middle["growth MB, stalled"], 5))
    if "deliveries/s, trouble" in middle:
        ratio = middle["deliveries/s, trouble"] / middle["deliveries/s"]
        report.targets.append(Target("deliveries/s beside 3 in trouble, of those without", ratio, 0.8, at_least=True))
