"""How many unary calls the server answers, and how fast, beside a handler that does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field

import grpc
from grpc import aio

from benchmarks import sampling
from benchmarks.peers import trivial_calls
from benchmarks.report import Report, Target
from benchmarks.sampling import median, percentile
from support import tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE
from taskgrove import connection
from taskgrove.v1.task_service_pb2 import EnqueueRequest, GetTaskRequest, ListTasksRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

TRIVIAL = "trivial handler"

#: How many calls are under way at any time.
IN_FLIGHT = (1, 64)

#: What the rate with most in flight should be at least, as a ratio to the trivial handler's.
SHARES = {"GetTask": 0.6, "Enqueue": 0.25, "ListTasks": 0.25}

COLUMNS = ("call, in flight", "calls/s", "of trivial", "p50 ms", "p99 ms", "server CPU us/call")


@dataclass(frozen=True, slots=True)
class Kind:
    """A call that is measured, and the process that answers it."""

    call: Callable[[], Awaitable[object]]
    pid: int


@dataclass(slots=True)
class Figures:
    """A figure from each window of one kind; times in milliseconds, processor time in microseconds a call."""

    rates: list[float] = field(default_factory=list[float])
    middles: list[float] = field(default_factory=list[float])
    slowest: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])


def run(*, quick: bool) -> Report:
    """Measures GetTask, Enqueue and ListTasks, one at a time and many at once, in turns with the handler."""
    report = Report("calls", "Unary calls, beside a trivial grpc.aio handler", COLUMNS)
    rounds, seconds = (1, 0.3) if quick else (9, 1.0)
    with RunningServer("--slots", "1") as server, _peer() as (peer, target), server.client() as client:
        # The first task keeps the only slot; what is enqueued after it waits.
        task_list = tasks_work.make_list(client, "exec sleep 3600")
        tasks = [client.enqueue(task_list.id, f"Task {number}").id for number in range(60)]
        measured = _measure(report, server, (peer, target), (task_list.id, tasks[-1]), rounds, seconds)
        asyncio.run(measured)
    report.notes += [
        "Enqueue carries a request id, and answers when the task is on disk. ListTasks returns a page of 50 tasks.",
        "One Python client makes all calls, over a Unix socket. Its processor time is in every latency.",
    ]
    return report


@contextlib.contextmanager
def _peer() -> Generator[tuple[int, str]]:
    """Runs the trivial handler; yields its process id and its target."""
    with tempfile.TemporaryDirectory(prefix="tgb-") as scratch:
        target = f"unix:{scratch}/socket"
        with subprocess.Popen([sys.executable, "-m", trivial_calls.__name__, target]) as process:
            try:
                yield process.pid, target
            finally:
                process.kill()


async def _measure(
    report: Report,
    server: RunningServer,
    peer: tuple[int, str],
    known: tuple[str, str],
    rounds: int,
    seconds: float,
) -> None:
    task_list, task = known
    async with _connected(server.target) as channel, _connected(peer[1]) as peers_channel:
        ours, trivial = TaskServiceStub(channel), TaskServiceStub(peers_channel)
        kinds = {
            TRIVIAL: Kind(lambda: trivial.GetTask(GetTaskRequest(task_id=task), timeout=PATIENCE), peer[0]),
            "GetTask": Kind(lambda: ours.GetTask(GetTaskRequest(task_id=task), timeout=PATIENCE), server.pid),
            "Enqueue": Kind(lambda: ours.Enqueue(_new_task(task_list), timeout=PATIENCE), server.pid),
            "ListTasks": Kind(lambda: ours.ListTasks(ListTasksRequest(), timeout=PATIENCE), server.pid),
        }
        for in_flight in IN_FLIGHT:
            figures = {name: Figures() for name in kinds}
            for number in range(rounds + 1):
                for name, kind in kinds.items():
                    # The first round warms up.
                    into = figures[name] if number else Figures()
                    if failed := await _window(kind, in_flight, seconds if number else seconds / 4, into):
                        report.failures.append(f"{name}, {in_flight} in flight, round {number}: {failed}")
            _tell(report, in_flight, figures)


@contextlib.asynccontextmanager
async def _connected(target: str) -> AsyncGenerator[aio.Channel]:
    async with aio.insecure_channel(target, options=connection.CHANNEL_OPTIONS) as channel:
        await asyncio.wait_for(channel.channel_ready(), PATIENCE)
        yield channel


def _new_task(task_list: str) -> EnqueueRequest:
    return EnqueueRequest(
        task_list_id=task_list,
        title="Add a page about the weather",
        description="It shows the weather of the place that the user has chosen.",
        request_id=str(uuid.uuid4()),
    )


async def _window(kind: Kind, in_flight: int, seconds: float, into: Figures) -> str:
    """Calls for so many seconds and adds what came of it; returns what went wrong."""
    latencies: list[float] = []
    failures: list[grpc.RpcError] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (before := time.perf_counter()) < end:
            try:
                await kind.call()
            except grpc.RpcError as error:
                failures.append(error)
            else:
                latencies.append(1000 * (time.perf_counter() - before))

    start, used = time.perf_counter(), sampling.usage(kind.pid).cpu
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    elapsed, used = time.perf_counter() - start, sampling.usage(kind.pid).cpu - used
    if latencies:
        into.rates.append(len(latencies) / elapsed)
        into.middles.append(median(latencies))
        into.slowest.append(percentile(latencies, 99))
        into.cpu.append(1e6 * used / len(latencies))
    return f"{len(failures)} calls failed, the first with {failures[0]!r}" if failures else ""


def _tell(report: Report, in_flight: int, figures: Mapping[str, Figures]) -> None:
    for name, found in figures.items():
        what = f"{name}, {in_flight}"
        report.samples |= {
            f"{what}: calls/s": found.rates,
            f"{what}: p50 ms": found.middles,
            f"{what}: p99 ms": found.slowest,
            f"{what}: server CPU us/call": found.cpu,
        }
        if found.rates and figures[TRIVIAL].rates:
            ratio = median(found.rates) / median(figures[TRIVIAL].rates)
            if in_flight == IN_FLIGHT[-1] and name in SHARES:
                target = Target(f"{what} in flight: calls/s, of trivial", ratio, SHARES[name], at_least=True)
                report.targets.append(target)
            latencies = (median(found.middles), median(found.slowest))
            report.rows.append((what, median(found.rates), ratio, *latencies, median(found.cpu)))
