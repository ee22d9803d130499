"""Tasks as callers get them, over a real store: never older than what was acknowledged, whenever it is changed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent import futures
from pathlib import Path

import pytest
import pytest_asyncio

from taskgrove.v1.task_pb2 import Task as TaskMessage
from taskgrove.v1.task_service_pb2 import GetTaskResponse, ListTasksResponse
from taskgrove_server.api import front, task_reads
from taskgrove_server.api.encoded_tasks import EncodedTasks, View
from taskgrove_server.api.front import Reads
from taskgrove_server.api.task_reads import TaskReads
from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import Subtask, Task, TaskEdit, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.signals.commits import Commits
from taskgrove_server.store.store import Store

#: Seconds within which a change has to be stored.
PATIENCE = 20.0

QUEUED = TaskFilter(states=frozenset({TaskState.QUEUED}))
CANCELLED = TaskFilter(states=frozenset({TaskState.CANCELLED}))

pytestmark = pytest.mark.asyncio


class Gate:
    """A place at which a thread is stopped, once."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._open = threading.Event()
        self._used = False

    def pass_through(self) -> None:
        if not self._used:
            self._used = True
            self._arrived.set()
            assert self._open.wait(PATIENCE)

    @contextlib.contextmanager
    def holding(self, working: Callable[[], futures.Future[object]]) -> Generator[futures.Future[object]]:
        """Begins work, and has it wait at the gate for as long as the block takes."""
        future = working()
        assert self._arrived.wait(PATIENCE)
        try:
            yield future
        finally:
            self._open.set()
            future.result(PATIENCE)


class Room:
    """What answers callers, over a store of its own."""

    def __init__(self, directory: Path) -> None:
        self.encoded = EncodedTasks()
        self.commits = Commits()
        #: Are called on the writer's thread: before a commit once tasks are noted as changing, and after it before
        #: they are noted as changed.
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None
        self.commits.listen(lambda _: self.after_commit())
        self.commits.listen(self.encoded.changed)
        self.store = Store(directory / "taskgrove.db", self.commits.tell, committing=self._changing)
        self.reads = Reads(self.store)
        self.task_reads = TaskReads(self.reads, self.encoded)
        now = clock.now()
        self.task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(), now, now)
        self.store.task_lists.create(self.task_list).result(PATIENCE)
        self.elsewhere = futures.ThreadPoolExecutor(8)

    def _changing(self, task_ids: frozenset[TaskId]) -> None:
        self.encoded.changing(task_ids)
        self.before_commit()

    def add(self, title: str = "Do it") -> TaskId:
        now = clock.now()
        parts = (Subtask("one"), Subtask("two"))
        task = Task(ids.new_task_id(), self.task_list.id, title, "", parts, RunConfig(), TaskState.QUEUED, now, now)
        return self.store.tasks.enqueue(task).result(PATIENCE).id

    def rename(self, task_id: TaskId, title: str) -> Task:
        return self.store.tasks.update(task_id, TaskEdit(title=title), "").result(PATIENCE)

    def get(self, task_id: TaskId) -> TaskMessage:
        """Does what GetTask does, in the calling thread."""
        encoded = self.encoded.get(task_id, View.FULL) or self.task_reads._get(task_id)
        return GetTaskResponse.FromString(encoded).task

    def page(self, wanted: TaskFilter, view: View = View.FULL, size: int = 100) -> list[TaskMessage]:
        """Does what ListTasks does, in the calling thread."""
        found = self.task_reads._page(wanted, Order.NEWEST_FIRST, None, size, view)
        return list(ListTasksResponse.FromString(b"".join(encoded for _, encoded in found)).tasks)

    def check_kept(self) -> None:
        """Compares all that is kept with what is stored."""
        for (task_id, view), encoded in dict(self.encoded._kept).items():
            assert encoded == task_reads.encode(self.store.tasks.get(task_id), view)

    def close(self) -> None:
        self.elsewhere.shutdown()
        self.reads.close()
        self.store.close()


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    opened = Room(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def gated(function: Callable[..., object], gate: Gate) -> Callable[..., object]:
    """Returns a function after which there is a gate."""

    def passing(*arguments: object) -> object:
        value = function(*arguments)
        gate.pass_through()
        return value

    return passing


async def test_a_task_that_is_kept_is_answered_while_all_threads_are_busy(room: Room) -> None:
    task_id, unknown = room.add(), room.add()
    first = await room.task_reads.get(task_id)
    closed = threading.Event()
    waiting = [asyncio.ensure_future(room.reads(closed.wait, PATIENCE)) for _ in range(front.READERS)]
    try:
        async with asyncio.timeout(PATIENCE):
            assert await room.task_reads.get(task_id) is first
        other = asyncio.ensure_future(room.task_reads.get(unknown))
        await asyncio.sleep(0)
        assert not other.done()
    finally:
        closed.set()
        await asyncio.gather(*waiting)
    assert GetTaskResponse.FromString(await other).task.id == unknown


async def test_who_has_read_a_task_before_a_commit_does_not_keep_it_after(
    room: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = room.add("old")
    monkeypatch.setattr(room.task_reads, "_tasks", room.store.tasks)
    monkeypatch.setattr(room.store.tasks, "get", gated(room.store.tasks.get, gate))
    with gate.holding(lambda: room.elsewhere.submit(room.get, task_id)) as reading:
        assert room.rename(task_id, "new").title == "new"
        # While the first has not gone on, and after it.
        assert room.get(task_id).title == "new"
    assert reading.result(PATIENCE).title == "old"  # type: ignore[attr-defined]
    assert room.get(task_id).title == "new"
    room.check_kept()


async def test_nobody_keeps_what_a_commit_is_about_to_change(room: Room, gate: Gate) -> None:
    task_id = room.add("old")
    room.before_commit = gate.pass_through
    with gate.holding(lambda: room.elsewhere.submit(room.rename, task_id, "new")):
        assert room.get(task_id).title == "old"
        assert [task.title for task in room.page(QUEUED)] == ["old"]
        assert room.encoded.get(task_id, View.FULL) is None
    assert room.get(task_id).title == "new"
    room.check_kept()


async def test_who_has_seen_a_commit_is_not_shown_what_was_before_it(room: Room, gate: Gate) -> None:
    task_id = room.add("old")
    assert room.get(task_id).title == "old"
    room.after_commit = gate.pass_through
    with gate.holding(lambda: room.elsewhere.submit(room.rename, task_id, "new")):
        # It is stored, and nobody has been told: all ways to look at it show the same.
        assert room.store.tasks.get(task_id).title == "new"
        assert room.get(task_id).title == "new"
        assert [task.title for task in room.page(QUEUED)] == ["new"]
    assert room.get(task_id).title == "new"
    room.check_kept()


@pytest.mark.parametrize("view", View)
async def test_a_page_is_of_one_moment_whatever_is_kept_meanwhile(
    room: Room, gate: Gate, monkeypatch: pytest.MonkeyPatch, view: View
) -> None:
    task_ids = [room.add(f"{number}") for number in range(3)]
    monkeypatch.setattr(room.store.tasks, "places", gated(room.store.tasks.places, gate))
    with gate.holding(lambda: room.elsewhere.submit(room.page, QUEUED, view)) as reading:
        room.store.tasks.cancel(task_ids[1]).result(PATIENCE)
        room.store.tasks.cancel(task_ids[0]).result(PATIENCE)
        room.store.tasks.delete(task_ids[0]).result(PATIENCE)
        # Kept anew, as it is now: of no use to a page that was found before.
        assert [task.title for task in room.page(CANCELLED, view)] == ["1"]
    page = reading.result(PATIENCE)
    assert [(task.title, task.state) for task in page] == [  # type: ignore[attr-defined]
        (title, TaskMessage.STATE_QUEUED) for title in ("2", "1", "0")
    ]
    assert [task.title for task in room.page(QUEUED, view)] == ["2"]
    room.check_kept()


async def test_a_commit_that_fails_changes_nothing_that_is_shown(room: Room) -> None:
    task_id = room.add("old")
    room.get(task_id)

    def fail() -> None:
        room.before_commit = lambda: None
        raise OSError("The disk is gone.")

    room.before_commit = fail
    with pytest.raises(errors.StoreUnavailable):
        room.rename(task_id, "new")
    assert room.get(task_id).title == "old"
    assert room.rename(task_id, "newer").title == "newer"
    assert room.get(task_id).title == "newer"
    room.check_kept()


async def test_a_deleted_task_is_not_found_at_once(room: Room) -> None:
    task_id = room.add()
    room.store.tasks.cancel(task_id).result(PATIENCE)
    assert room.get(task_id).state == TaskMessage.STATE_CANCELLED
    room.store.tasks.delete(task_id).result(PATIENCE)
    with pytest.raises(errors.TaskNotFound):
        room.get(task_id)
    assert room.page(TaskFilter()) == []


async def test_long_tasks_of_a_page_are_read_as_far_as_they_are_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        task_id = room.add(f"{number}")
        room.store.tasks.update(task_id, TaskEdit(description="d" * 100_000), "").result(PATIENCE)
    read: list[TaskId] = []
    those = room.store.tasks.those

    def noting(task_ids: list[TaskId]) -> dict[TaskId, Task]:
        read.extend(task_ids)
        return those(task_ids)

    monkeypatch.setattr(room.store.tasks, "those", noting)
    assert 11 <= len(room.page(TaskFilter(), size=61)) == len(read) <= 50
    # Short without their descriptions, all of them fit.
    assert len(room.page(TaskFilter(), View.SUMMARY, size=61)) == 60


async def test_with_many_readers_and_writers_nobody_is_shown_less_than_was_acknowledged(room: Room) -> None:
    task_ids = [room.add("0") for _ in range(6)]
    acknowledged = dict.fromkeys(task_ids, 0)
    ended = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        # Each changes tasks of its own, so that their titles only grow.
        own = task_ids[2 * seed : 2 * seed + 2]
        for number in range(1, 60):
            task_id = chance.choice(own)
            room.rename(task_id, f"{number}")
            acknowledged[task_id] = number

    def read(seed: int) -> None:
        chance = random.Random(seed)
        seen = dict.fromkeys(task_ids, 0)
        # With a pause, as they hold up those who write.
        while not ended.wait(0.001):
            known = dict(acknowledged)
            view = chance.choice(list(View))
            look = chance.choice([room.page, room.get])
            found = room.page(QUEUED, view) if look == room.page else [room.get(chance.choice(task_ids))]
            for task in found:
                task_id, number = TaskId(task.id), int(task.title)
                # Nor less than this reader was shown before, whichever call showed it.
                assert number >= max(known[task_id], seen[task_id])
                seen[task_id] = number
            if look == room.page:
                assert {task.id for task in found} == set(task_ids)

    def write_all() -> None:
        try:
            for writing in [room.elsewhere.submit(write, seed) for seed in range(3)]:
                writing.result(PATIENCE)
        finally:
            ended.set()

    readers = [room.elsewhere.submit(read, seed) for seed in range(3)]
    await asyncio.to_thread(write_all)
    for reading in readers:
        reading.result(PATIENCE)
    room.check_kept()
    assert {task_id: int(room.get(task_id).title) for task_id in task_ids} == acknowledged
