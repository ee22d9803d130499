"""Which tasks may be claimed while something is held, and for how long it is."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskgrove_server.agents import registry
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import Command, RunConfig
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.hold import Cause, Hold, HoldKind
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.runner.holding import Holding
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.store import Store

SECOND = timedelta(seconds=1)

START = datetime(2026, 1, 1, tzinfo=UTC)

CLAUDE = Cause(HoldKind.AGENT, "claude", "No login.", FailureKind.AUTH)
MACHINE = Cause(HoldKind.MACHINE, "", "No processes.", FailureKind.MACHINE)


class World:
    """A store, what holds its tasks, and a clock that stands still."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.now = START
        monkeypatch.setattr(clock, "now", lambda: self.now)
        self.store = Store(root / "db", lambda _: None)
        self.holding = self._holding()

    def _holding(self, first_pause: timedelta = SECOND) -> Holding:
        return Holding(self.store, registry.shipped(), FreeSpace(self.root, 0), first_pause)

    def restart(self, first_pause: timedelta) -> None:
        """Has another server take over, with other pauses."""
        self.holding = self._holding(first_pause)
        self.holding.renew()

    def make_list(self, working_dir: str | None = None, agent: str | None = None) -> TaskListId:
        made = TaskList(ids.new_task_list_id(), "A list", working_dir, RunConfig(agent=agent), clock.now(), clock.now())
        return self.store.task_lists.create(made).result(10).id

    def enqueue(self, task_list_id: TaskListId, agent: str | None = None) -> TaskId:
        task = Task(
            ids.new_task_id(),
            task_list_id,
            "Do it",
            "",
            (),
            RunConfig(agent=agent),
            TaskState.QUEUED,
            self.now,
            self.now,
        )
        return self.store.tasks.enqueue(task).result(10).id

    def claim(self) -> TaskId | None:
        """Claims what is next, as the dispatcher does."""
        waiting = self.holding.next()
        if waiting is None:
            return None
        claimed = self.store.slots.claim(waiting.task_id, 1).result(10)
        assert claimed is not None
        self.holding.claimed(waiting)
        return claimed.id

    def put_back(self, task_id: TaskId, cause: Cause) -> None:
        """Has a claimed task meet something."""
        self.store.slots.put_back(task_id, cause, SECOND).result(10)
        self.holding.left(task_id)

    def passed(self, passed: Callable[[], None]) -> None:
        """Has something be there again, and waits until that is stored."""
        passed()
        # Changes are made in their order.
        self.store.requests.trim(timedelta(days=1)).result(10)

    def hold(self) -> Hold:
        """Returns the only hold."""
        (hold,) = self.store.holds.all()
        return hold


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path, monkeypatch)
    yield made
    made.store.close()


def test_pauses_grow_from_the_first_to_five_minutes(world: World) -> None:
    task_id = world.enqueue(world.make_list())
    pauses: list[float] = []
    for _ in range(12):
        assert world.claim() == task_id
        world.put_back(task_id, CLAUDE)
        hold = world.hold()
        pauses.append((hold.next_try_time - world.now).total_seconds())
        assert world.claim() is None
        world.now = hold.next_try_time
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert world.hold().attempts == 12
    assert world.hold().create_time == START


def test_a_known_end_is_waited_for_whatever_others_say_meanwhile(world: World) -> None:
    tasks = [world.enqueue(world.make_list()) for _ in range(2)]
    assert [world.claim(), world.claim()] == tasks
    ends = START + timedelta(hours=3)
    world.put_back(tasks[0], replace(CLAUDE, ends=ends))
    world.put_back(tasks[1], CLAUDE)
    assert (world.hold().next_try_time, world.hold().attempts) == (ends, 1)


def test_those_that_were_at_work_when_a_hold_began_do_not_make_it_longer(world: World) -> None:
    tasks = [world.enqueue(world.make_list()) for _ in range(4)]
    for _ in tasks:
        world.claim()
    for task_id in tasks:
        world.put_back(task_id, CLAUDE)
    assert (world.hold().attempts, world.hold().next_try_time) == (1, START + SECOND)


def test_one_tries_at_a_time_and_who_has_tried_least_comes_first(world: World) -> None:
    tasks = [world.enqueue(world.make_list()) for _ in range(3)]
    assert world.claim() == tasks[0]
    world.put_back(tasks[0], CLAUDE)
    world.now += SECOND
    assert world.claim() == tasks[1]
    # It may be at work for long, and has not got through.
    assert world.claim() is None
    world.put_back(tasks[1], CLAUDE)
    world.now = world.hold().next_try_time
    assert world.claim() == tasks[2]
    world.passed(lambda: world.holding.agent_works("claude", tasks[2]))
    # The hold is over: the others come in the order in which they were enqueued.
    assert [world.claim(), world.claim(), world.claim()] == [tasks[0], tasks[1], None]


def test_what_does_not_need_it_does_not_wait(world: World) -> None:
    ordinary = world.make_list("/one")
    commands = world.make_list("/two", agent="command")
    first = world.enqueue(ordinary)
    assert world.claim() == first
    world.put_back(first, CLAUDE)
    waiting = [world.enqueue(ordinary), world.enqueue(commands, agent="claude")]
    free = [world.enqueue(ordinary, agent="command"), world.enqueue(commands)]
    assert [world.claim() for _ in range(3)] == [*free, None]
    world.now += SECOND
    assert world.claim() == waiting[0]


def test_the_disk_of_a_repository_holds_its_lists(world: World) -> None:
    one, other, sandboxes = world.make_list("/one"), world.make_list("/other"), world.make_list()
    first = world.enqueue(one)
    assert world.claim() == first
    world.put_back(first, Cause(HoldKind.DISK, "/one", "Full.", FailureKind.MACHINE))
    world.enqueue(one)
    free = [world.enqueue(other), world.enqueue(sandboxes)]
    assert [world.claim() for _ in range(3)] == [*free, None]


@pytest.mark.parametrize("kind", [HoldKind.MACHINE, HoldKind.DISK])
def test_the_machine_and_the_disk_of_the_data_hold_everything(world: World, kind: HoldKind) -> None:
    subject = "" if kind is HoldKind.MACHINE else str(world.root)
    first = world.enqueue(world.make_list())
    assert world.claim() == first
    world.put_back(first, Cause(kind, subject, "Short.", FailureKind.MACHINE))
    world.enqueue(world.make_list("/one", agent="command"))
    assert world.claim() is None
    world.now += SECOND
    assert world.claim() is not None
    assert world.claim() is None
    world.passed(lambda: world.holding.machine_works(""))
    assert world.store.holds.all() == []
    assert world.claim() is not None


def test_a_task_that_waits_alone_keeps_nobody_else(world: World) -> None:
    task_list = world.make_list()
    first = world.enqueue(task_list)
    assert world.claim() == first
    world.put_back(first, Cause(HoldKind.TASK, first, "Later.", FailureKind.OVERLOADED))
    second = world.enqueue(task_list)
    assert [world.claim(), world.claim()] == [second, None]
    world.now += SECOND
    assert world.claim() == first
    # Whatever comes of the task, its hold goes with it.
    world.store.slots.rest(first, TaskState.FAILED).result(10)
    assert world.store.holds.all() == []


def test_the_hold_of_a_task_ends_when_it_is_cancelled(world: World) -> None:
    task_id = world.enqueue(world.make_list())
    assert world.claim() == task_id
    world.put_back(task_id, Cause(HoldKind.TASK, task_id, "Later.", FailureKind.OVERLOADED))
    world.store.tasks.cancel(task_id).result(10)
    assert world.store.holds.all() == []


def test_a_task_that_is_to_be_cancelled_rests_and_begins_no_hold(world: World) -> None:
    task_id = world.enqueue(world.make_list())
    assert world.claim() == task_id
    world.store.tasks.cancel(task_id).result(10)
    world.put_back(task_id, CLAUDE)
    assert world.store.tasks.get(task_id).state is TaskState.CANCELLED
    assert world.store.holds.all() == []


def test_another_may_try_when_the_one_that_did_has_left_without_a_word(world: World) -> None:
    tasks = [world.enqueue(world.make_list()) for _ in range(2)]
    assert world.claim() == tasks[0]
    world.put_back(tasks[0], MACHINE)
    world.now += SECOND
    assert world.claim() == tasks[1]
    assert world.claim() is None
    world.store.slots.rest(tasks[1], TaskState.FAILED).result(10)
    world.holding.left(tasks[1])
    assert world.claim() == tasks[0]


def test_a_clock_that_is_set_back_makes_nobody_wait(world: World) -> None:
    tasks = [world.enqueue(world.make_list()) for _ in range(2)]
    world.now += timedelta(hours=9)
    assert [world.claim(), world.claim()] == tasks
    world.put_back(tasks[0], CLAUDE)
    world.put_back(tasks[1], Cause(HoldKind.TASK, tasks[1], "Later.", FailureKind.OVERLOADED))
    assert world.claim() is None
    world.now = START
    assert world.claim() is not None


def test_another_server_makes_its_own_pauses(world: World) -> None:
    task_id = world.enqueue(world.make_list())
    assert world.claim() == task_id
    world.put_back(task_id, CLAUDE)
    world.restart(timedelta(hours=1))
    assert world.hold().next_try_time == START + timedelta(hours=1)
    world.now += timedelta(minutes=1)
    assert world.claim() is None
    world.restart(SECOND)
    assert world.claim() == task_id


def test_a_list_that_is_gone_keeps_no_task_from_being_claimed(world: World) -> None:
    first = world.enqueue(world.make_list())
    assert world.claim() == first
    world.put_back(first, Cause(HoldKind.AGENT, "another", "Away.", FailureKind.AGENT_NOT_FOUND))
    orphan = world.enqueue(world.make_list())
    with contextlib.closing(sqlite3.connect(world.root / "db", isolation_level=None)) as database:
        database.execute("DELETE FROM task_list")
    assert world.claim() in {first, orphan}


def test_the_agent_of_a_command_is_its_own(world: World) -> None:
    config = RunConfig(agent="command", command=Command(shell="true"))
    task_list = TaskList(ids.new_task_list_id(), "A list", None, config, clock.now(), clock.now())
    world.store.task_lists.create(task_list).result(10)
    held = world.enqueue(world.make_list())
    assert world.claim() == held
    world.put_back(held, CLAUDE)
    free = world.enqueue(task_list.id)
    assert world.claim() == free


def test_a_hold_changes_the_order_of_those_alone_that_depend_on_it(world: World) -> None:
    commands = world.make_list(agent="command")
    held = world.enqueue(world.make_list(agent="claude"))
    early = world.enqueue(commands)
    for task_id in (held, early):
        assert world.claim() == task_id
    world.put_back(early, Cause(HoldKind.TASK, early, "Not now.", FailureKind.OVERLOADED))
    world.put_back(held, Cause(HoldKind.AGENT, "claude", "Not now.", FailureKind.AUTH))
    late = world.enqueue(commands)
    # Nobody may try yet.
    assert world.claim() == late
    latest = world.enqueue(commands)
    world.now += SECOND
    assert [world.claim() for _ in range(3)] == [held, early, latest]
