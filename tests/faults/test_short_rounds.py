"""A server that is short of something is killed again and again: no task is lost, done twice or charged."""

from __future__ import annotations

import contextlib
import random
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

import taskgrove
from support import (
    descriptors,
    disks,
    process_limits,
    repositories,
    tasks_chance,
    tasks_gates,
    tasks_processes,
    tasks_work,
)
from support.server import RunningServer
from support.tasks_verdict import Ledger, Story
from taskgrove import FailureKind, Run, Task, TaskList, run_config

pytestmark = pytest.mark.timeout(1200)

#: How often the server is killed.
ROUNDS = 8

SLOTS = 4

#: More than there are orders that are still to be placed at any time.
CALLERS = 32

#: Seconds within which a caller who insists is answered.
PATIENCE = 120.0

#: What a run does to its directory: something else each time, and as soon as there is room for it.
WORK = 'until { echo "$TASKGROVE_RUN_ID" > work.txt; } 2> /dev/null; do sleep 0.05; done'

#: Leaves a child in a session of its own that does not end when it is told to.
ENDLESS = "setsid sh -c 'trap \"\" HUP INT TERM; sleep 1000' & exec sleep 1000"

#: Stands in for Claude Code: refuses to work while a file is there.
CLAUDE = """#!{python}
import json, os, pathlib, sys, time

def say(**record):
    print(json.dumps({{"session_id": session, **record}}), flush=True)

session = next(word.partition("=")[2] for word in sys.argv if word.startswith(("--session-id=", "--resume=")))
sys.stdin.readline()
with open({ledger!r}, "a") as ledger:
    ledger.write(os.environ["TASKGROVE_RUN_ID"] + "\\n")
say(type="system", subtype="init", model="m")
if pathlib.Path({expired!r}).exists():
    message = {{"model": "<synthetic>", "content": [{{"type": "text", "text": "Invalid API key"}}]}}
    say(type="assistant", error="authentication_failed", message=message)
    say(type="result", subtype="success", is_error=True, result="Invalid API key", num_turns=1)
else:
    while True:
        try:
            pathlib.Path("work.txt").write_text(os.environ["TASKGROVE_RUN_ID"])
            break
        except OSError:
            time.sleep(0.05)
    say(type="assistant", message={{"model": "m", "content": [{{"type": "text", "text": "Done."}}]}})
    say(type="result", subtype="success", is_error=False, result="Done.", num_turns=1, usage={{"output_tokens": 1}})
"""

#: Why a run may have failed of which nobody is told: what it needed was short.
SHORT = frozenset({FailureKind.FAILURE_KIND_MACHINE, FailureKind.FAILURE_KIND_AUTH})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a task does, and how it and its runs may end; shortages come on top."""

    name: str
    command: str | None
    end: Task.State = Task.STATE_SUCCEEDED
    #: The failures of its runs that it has brought about itself.
    failures: tuple[FailureKind, ...] = ()


SUCCEEDS = Kind("succeeds", f"for i in $(seq 20); do echo $i; sleep 0.01; done; {WORK}")
FAILS = Kind("fails", "echo lost; exit 1", Task.STATE_FAILED, (FailureKind.FAILURE_KIND_AGENT,))
RETRIED = Kind(
    "is retried",
    f'[ "$TASKGROVE_RESUMES" = 1 ] || exit 75; {WORK}',
    failures=(FailureKind.FAILURE_KIND_OVERLOADED,),
)
HANGS = Kind("hangs", ENDLESS, Task.STATE_CANCELLED)
HURRIED = Kind("is cancelled at once", ENDLESS, Task.STATE_CANCELLED)
MODEL = Kind("asks a model", None)
KINDS = (SUCCEEDS, FAILS, RETRIED, HANGS, HURRIED, MODEL)


def insist(call: Callable[[], T]) -> T:
    """Makes a call until it is answered; until then it must be told to come back."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except taskgrove.TaskgroveError as error:
            put_off = error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
            if not put_off or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Order:
    """A task that somebody wants done."""

    kind: Kind
    task_list: TaskList
    repository: Path | None
    #: Seconds after which it is cancelled, if it is to be.
    pause: float

    def place(self, client: taskgrove.Client) -> Story:
        """Enqueues the task as one who insists, and cancels it if its kind is that."""
        request_id = str(uuid.uuid4())
        task = insist(lambda: client.enqueue(self.task_list.id, self.kind.name, request_id=request_id))
        if self.kind.end == Task.STATE_CANCELLED:
            time.sleep(self.pause)
            insist(lambda: client.cancel(task.id))
        return Story(client, task.id, frozenset({self.kind.end}))


@dataclass(frozen=True, slots=True)
class World:
    """A server over small disks of its own, and the lists of its tasks."""

    server: RunningServer
    client: taskgrove.Client
    ledger: Ledger
    #: The disk of one of the repositories.
    disk: Path
    #: While this is there, the login of the agent has expired.
    expired: Path
    repositories: tuple[Path, ...]
    lists: Mapping[tuple[str, Path | None], TaskList]

    def orders(self, moments: random.Random, count: int) -> Iterator[Order]:
        """Chooses tasks."""
        for _ in range(count):
            kind = moments.choice(KINDS)
            repository = moments.choice((None, *self.repositories))
            pause = moments.uniform(0, 0.01) if kind is HURRIED else moments.uniform(0, 1.5)
            yield Order(kind, self.lists[kind.name, repository], repository, pause)

    @contextlib.contextmanager
    def without_login(self) -> Generator[None]:
        self.expired.touch()
        try:
            yield
        finally:
            self.expired.unlink()

    def shortages(self, moments: random.Random) -> list[Callable[[], contextlib.AbstractContextManager[object]]]:
        """Returns what may be short, but for the login of the agent."""
        spare = moments.randrange(12)
        return [
            lambda: process_limits.without_descriptors(self.server.pid, spare),
            lambda: disks.without_files(self.server.data),
            lambda: disks.full(self.server.data),
            lambda: disks.without_files(self.disk),
            lambda: disks.full(self.disk),
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ledger = Ledger(tmp_path / "ledger")
    expired = tmp_path / "expired"
    program = tmp_path / "claude"
    program.write_text(
        CLAUDE.format(python=sys.executable, ledger=str(tmp_path / "ledger"), expired=str(expired)), encoding="utf-8"
    )
    program.chmod(0o755)
    flags = ("--slots", str(SLOTS), "--retry-pause", "0.1", "--claude", str(program), "--min-free-space", "1")
    running = RunningServer(*flags)
    with (
        disks.mounted(running.data, "64m", files=3000),
        disks.mounted(tmp_path / "small", "32m", files=3000) as disk,
        running as server,
        server.client() as client,
    ):
        places = tuple(
            repositories.make_repository(path, files={"README.md": "hello\n"})
            for path in (tmp_path / "repository", disk / "repository")
        )
        lists = {
            (kind.name, place): client.create_task_list(
                kind.name,
                working_dir=place,
                defaults=run_config(agent="claude", permission_mode="bypassPermissions")
                if kind.command is None
                else tasks_work.shell(f"{ledger.note}; {kind.command}"),
            )
            for kind in KINDS
            for place in (None, *places)
        }
        yield World(server, client, ledger, disk, expired, places, lists)
        print(server.log.read_text())  # noqa: T201 - pytest shows it when the test fails


def start(world: World, moments: random.Random, short: contextlib.ExitStack) -> None:
    """Starts the server, which may refuse to while something is short, and then says so."""
    least = ("--min-free-space", moments.choice(("0", "1")))
    try:
        world.server.start(*least)
    except AssertionError as ended:
        said = str(ended)
        if "taskgroved ended: " not in said or "Traceback" in said:
            raise
        assert "taskgroved: " in said
        short.close()
        world.server.start(*least)


def test_no_task_is_lost_done_twice_or_charged(world: World) -> None:
    moments = tasks_chance.seeded()
    before = [tasks_work.snapshot(repository) for repository in world.repositories]
    # Once: a task that is refused while the agent works for others, as before and after, is itself to blame.
    expires = moments.randrange(ROUNDS)
    placed: list[tuple[Order, Future[Story]]] = []
    with ThreadPoolExecutor(CALLERS) as callers:
        for number in range(ROUNDS):
            with contextlib.ExitStack() as short:
                placed += place(world, callers, moments, moments.randrange(3))
                time.sleep(moments.uniform(0, 0.4))
                chosen = moments.choice([contextlib.nullcontext, *world.shortages(moments)])
                short.enter_context(world.without_login() if number == expires else chosen())
                placed += place(world, callers, moments, moments.randrange(1, 4))
                time.sleep(moments.uniform(0, 1))
                if moments.random() < 0.3:
                    short.close()
                    time.sleep(moments.uniform(0, 0.4))
                world.server.kill()
                start(world, moments, short)
                time.sleep(moments.uniform(0, 0.5))
        stories = told(placed)
        check_all(world, stories)
        stories += told(live_on(world, callers, moments))
    # The last of what could not be removed while something was short is removed by a server that starts.
    world.server.terminate()
    world.server.start()
    check_all(world, stories)
    tasks_gates.until(lambda: not left_over(world, stories), "nothing is left of tasks that never ran")
    assert list((world.server.data / "runs").iterdir()) == []
    assert [tasks_work.snapshot(repository) for repository in world.repositories] == before
    assert "Traceback" not in world.server.log.read_text()


def place(
    world: World, callers: ThreadPoolExecutor, moments: random.Random, count: int
) -> list[tuple[Order, Future[Story]]]:
    """Has callers place orders, without waiting for them."""
    return [(order, callers.submit(order.place, world.client)) for order in world.orders(moments, count)]


def told(placed: list[tuple[Order, Future[Story]]]) -> list[tuple[Order, Story]]:
    """Waits until all orders are placed, and what was to be cancelled is."""
    return [(order, story.result(PATIENCE)) for order, story in placed]


def live_on(world: World, callers: ThreadPoolExecutor, moments: random.Random) -> list[tuple[Order, Future[Story]]]:
    """Has one server be short of everything in turn, and checks that it leaves nothing open for that."""
    placed = place(world, callers, moments, 2 * SLOTS)
    rested(placed)
    opened = len(descriptors.of(world.server.pid))
    for shortage in world.shortages(moments):
        with shortage():
            now = place(world, callers, moments, SLOTS)
            time.sleep(0.5)
        rested(now)
        placed += now
    # One more for each of the few connections of SQLite that its threads may open yet.
    tasks_gates.until(lambda: len(descriptors.of(world.server.pid)) <= opened, "what was opened is closed")
    return placed


def rested(placed: list[tuple[Order, Future[Story]]]) -> None:
    for _, story in told(placed):
        story.follower.rested()


def left_over(world: World, stories: list[tuple[Order, Story]]) -> set[str]:
    """Returns the branches and worktrees that belong to no task."""
    tasks = [world.client.get_task(story.task_id) for _, story in stories]
    own = {name for task in tasks for name in (task.worktree.branch, task.worktree.path)}
    found = {
        name
        for repository in world.repositories
        for name in (*repositories.branches(repository), *repositories.worktree_paths(repository))
    }
    return found - own - {"main"}


def check_all(world: World, stories: list[tuple[Order, Story]]) -> None:
    """Checks each task, and that nothing is left that belongs to none."""
    for order, story in stories:
        runs = story.check(order.repository or Path())
        check_charged(order.kind, story, runs)
    all_runs = [run for _, story in stories for run in world.client.list_runs(story.task_id)]
    world.ledger.check(all_runs)
    for hold in world.client.get_server_info().holds:
        # Nobody is left who would find out that it has passed: who needed it was cancelled.
        with contextlib.suppress(taskgrove.HoldNotFound):
            world.client.lift_hold(hold.id)
    assert not world.client.get_server_info().holds
    assert world.server.run_processes() == []
    assert tasks_processes.supervisors(world.server) == []


def check_charged(kind: Kind, story: Story, runs: list[Run]) -> None:
    """Checks that a task's runs failed for nothing that it did not do, and that its retry was for that alone."""
    failures = [run.failure.kind for run in runs if run.state == Run.STATE_FAILED]
    own = [failure for failure in failures if failure not in SHORT]
    assert tuple(own) == kind.failures, runs
    # The one retry is for what the task itself has asked for.
    retries = [run.is_retry for run in runs]
    assert retries == sorted(retries), runs
    assert any(retries) == (kind is RETRIED), runs
    assert [change for run in runs for change in run.repository_changes] == []
