"""What a long history costs: adding a task, claiming one and listing them, with up to a million stored."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field

import grpc

from benchmarks import stored_tasks
from benchmarks.report import Cell, Report, Target
from benchmarks.sampling import median
from support import claims, tasks_raw, tasks_work
from support.server import RunningServer
from support.tasks_gates import PATIENCE, until
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import EnqueueRequest, ListTasksRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub
from taskgrove_server.api import paging
from taskgrove_server.store.store import Store

#: What everything may take with the most tasks stored, as a ratio to what it takes with the fewest.
BOUND = 1.5

#: How many lists share the half of the tasks that the large list has not.
OTHERS = 20

IN_FLIGHT = 16

#: Seconds after which the next thing has its turn at the latest.
TURN = 1.0

RATE, ENQUEUE, CLAIM = "enqueue/s", "enqueue ms", "claim ms"

FIRST, DEEP, AT_REST, ACTIVE, FAILED = "first page ms", "in the middle", "at rest", "active", "failed"
OF_LIST, ACTIVE_OF_LIST, FAILED_OF_LIST = "of a list", "of a list, active", "of a list, failed"

COLUMNS = (
    *("tasks", RATE, ENQUEUE, CLAIM),
    *(FIRST, DEEP, AT_REST, ACTIVE, FAILED, OF_LIST, ACTIVE_OF_LIST, FAILED_OF_LIST),
)

_ACTIVE = (Task.STATE_QUEUED, Task.STATE_RUNNING)
_AT_REST = (Task.STATE_SUCCEEDED, Task.STATE_FAILED, Task.STATE_CANCELLED)


@dataclass(slots=True)
class History:
    """A server with so many tasks, and the figures that were taken of it, by column."""

    count: int
    server: RunningServer
    #: The list that has half of all tasks, and none that waits.
    large: str
    #: One of the others, to which tasks are added.
    small: str
    figures: dict[str, list[float]] = field(default_factory=lambda: {column: list[float]() for column in COLUMNS[1:]})

    def pages(self) -> Mapping[str, ListTasksRequest]:
        """Returns requests for pages, by column."""
        return {
            FIRST: ListTasksRequest(),
            DEEP: ListTasksRequest(page_token=_token(before=self.count // 2)),
            AT_REST: ListTasksRequest(states=_AT_REST),
            ACTIVE: ListTasksRequest(states=_ACTIVE),
            FAILED: ListTasksRequest(states=[Task.STATE_FAILED]),
            OF_LIST: ListTasksRequest(task_list_id=self.large),
            ACTIVE_OF_LIST: ListTasksRequest(task_list_id=self.large, states=_ACTIVE),
            FAILED_OF_LIST: ListTasksRequest(task_list_id=self.large, states=[Task.STATE_FAILED]),
        }


def run(*, quick: bool) -> Report:
    """Measures all of it on servers with few and with many tasks, in turns."""
    report = Report("many_tasks", "With many tasks stored", COLUMNS)
    counts, rounds, times = ((1_000, 5_000), 1, 3) if quick else ((1_000, 100_000, 1_000_000), 8, 20)
    with contextlib.ExitStack() as stack:
        histories = [_make(stack.enter_context(RunningServer("--slots", "1")), count) for count in counts]
        for _ in range(rounds):
            for history in histories:
                _claim(history, times)
        stubs = [_serve(stack, history) for history in histories]
        for number in range(rounds):
            for history, tasks in zip(histories, stubs, strict=True):
                try:
                    _call(history, tasks, times)
                except grpc.RpcError as error:
                    report.failures.append(f"{history.count} tasks, round {number}: {error!r}")
    _tell(report, histories)
    report.notes += [
        "Claims are the store's own, on the database of a stopped server; all else is called over a Unix socket.",
        f"Half of all tasks are of one list, in which {stored_tasks.RARE} have failed and none waits.",
        f"Enqueue is timed one at a time and counted with {IN_FLIGHT} in flight. It adds some hundred tasks to each.",
    ]
    return report


def _make(server: RunningServer, count: int) -> History:
    """Stops a server and gives it a history."""
    with server.client() as client:
        # The first of the tasks that wait keeps the only slot; the others go on waiting.
        large, *others = (tasks_work.make_list(client, "exec sleep 3600").id for _ in range(1 + OTHERS))
    server.terminate()
    stored_tasks.fill(server.data / "taskgrove.db", count, large, others)
    return History(count, server, large, others[0])


def _claim(history: History, times: int) -> None:
    """Claims the task that waits longest again and again."""
    store = Store(history.server.data / "taskgrove.db", lambda _: None)
    try:
        for _ in range(times):
            before = time.perf_counter()
            task = claims.claim(store, 1)
            history.figures[CLAIM].append(1000 * (time.perf_counter() - before))
            assert task is not None
            store.slots.requeue(task.id).result(PATIENCE)
    finally:
        store.close()


def _serve(stack: contextlib.ExitStack, history: History) -> TaskServiceStub:
    tasks = stack.enter_context(tasks_raw.stub(history.server.start()))
    running = ListTasksRequest(states=[Task.STATE_RUNNING])
    until(lambda: tasks.ListTasks(running, timeout=PATIENCE).tasks, "a task in the slot")
    return tasks


def _call(history: History, tasks: TaskServiceStub, times: int) -> None:
    new = EnqueueRequest(task_list_id=history.small, title="One more")
    history.figures[ENQUEUE] += _repeat(functools.partial(tasks.Enqueue, new, timeout=PATIENCE), times)
    with futures.ThreadPoolExecutor(IN_FLIGHT) as pool:
        before = time.perf_counter()
        calls = [pool.submit(tasks.Enqueue, new, timeout=PATIENCE) for _ in range(2 * IN_FLIGHT)]
        for call in calls:
            call.result()
        history.figures[RATE].append(len(calls) / (time.perf_counter() - before))
    for column, request in history.pages().items():
        history.figures[column] += _repeat(functools.partial(tasks.ListTasks, request, timeout=PATIENCE), times)


def _repeat(call: Callable[[], object], times: int) -> list[float]:
    """Returns how many milliseconds each of so many calls took, or of as many as fit into a turn."""
    taken: list[float] = []
    end = time.perf_counter() + TURN
    while len(taken) < times and (before := time.perf_counter()) < end:
        call()
        taken.append(1000 * (time.perf_counter() - before))
    return taken


def _token(*, before: int) -> str:
    """Returns the token of the page of all tasks that begins below a sequence."""
    return paging.cut(ListTasksRequest(page_size=1), [((before,), Task()), ((before - 1,), Task())], lambda task: task)[
        1
    ]


def _tell(report: Report, histories: Sequence[History]) -> None:
    medians = [{name: median(values) for name, values in history.figures.items()} for history in histories]
    for history, found in zip(histories, medians, strict=True):
        report.samples |= {f"{history.count} tasks: {name}": values for name, values in history.figures.items()}
        row: list[Cell] = [f"{history.count:,}", *(found[column] for column in COLUMNS[1:])]
        report.rows.append(row)
    ratios = {column: medians[-1][column] / medians[0][column] for column in COLUMNS[1:]}
    report.rows.append(["last to first", *ratios.values()])
    fewest, most = (f"{history.count:,}" for history in (histories[0], histories[-1]))
    for column in COLUMNS[2:]:
        report.targets.append(Target(f"{column}, {most} to {fewest} tasks", ratios[column], BOUND))
