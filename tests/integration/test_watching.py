"""Watches over a real store and real logs, where each step of a run happens between two looks of the watch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from taskgrove.v1.task_pb2 import Task as TaskMessage
from taskgrove.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse
from taskgrove_server.api.front import Reads
from taskgrove_server.api.limits import StreamLimit
from taskgrove_server.api.log_reads import LogReads
from taskgrove_server.api.watching import Watching
from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.run import Outcome, Run
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.wakeups import CROWD, Wakeups
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store

#: Seconds within which a change has to be stored.
PATIENCE = 10.0

pytestmark = pytest.mark.asyncio

T = TypeVar("T")


class InterruptedReads(Reads):
    """Reads, after which something happens before the watch goes on."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.then: dict[str, Callable[[], object]] = {}
        #: What was read, by name.
        self.done: list[str] = []

    async def shared(self, kept: dict[Any, Any], read: Callable[..., T], *arguments: Any) -> T:
        value = await super().shared(kept, read, *arguments)
        self.done.append(read.__name__)
        self.then.pop(read.__name__, lambda: None)()
        return value


class Room:
    """A task that a slot works on, as far as a watch can tell."""

    def __init__(self, directory: Path) -> None:
        self.wakeups = Wakeups()
        self.store = Store(directory / "taskgrove.db", self.wakeups.tasks)
        self.journal = Journal(self.wakeups)
        self.reads = InterruptedReads(self.store)
        self.logs = LogReads(self.journal)
        self.directory = directory
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(), now, now)
        self.store.task_lists.create(task_list).result(PATIENCE)
        task = Task(ids.new_task_id(), task_list.id, "Do it", "", (), RunConfig(), TaskState.QUEUED, now, now)
        self.store.tasks.enqueue(task).result(PATIENCE)
        self.task_id = task.id

    def begin(self, log: bytes = b"") -> Run:
        """Begins a run that has written something already."""
        session_id, config = ids.new_session_id(), RunConfig()
        new = NewRun(ids.new_run_id(), self.task_id, False, "", "command", None, session_id, False, config, "/", None)
        run = self.store.runs.begin(new, str(self.directory)).result(PATIENCE)
        assert run is not None
        write(run, log)
        self.journal.follow(run, lambda _line: None)
        return run

    def finish(self, run: Run) -> None:
        extent = self.journal.end(run)
        outcome = Outcome(session_id=run.session_id)
        self.store.runs.finish(run, outcome, extent.lines, extent.size).result(PATIENCE)
        self.journal.release(run)

    def rest(self) -> None:
        self.store.slots.rest(self.task_id, TaskState.SUCCEEDED).result(PATIENCE)

    async def watch(self, after_line: int = 0) -> AsyncGenerator[WatchTaskResponse]:
        watching = Watching(self.store, self.reads, self.journal, self.logs, self.wakeups, StreamLimit(1000))
        async for event in watching.watch(WatchTaskRequest(task_id=self.task_id, after_line=after_line)):
            yield WatchTaskResponse.FromString(event) if isinstance(event, bytes) else event

    def close(self) -> None:
        self.journal.close()
        self.logs.close()
        self.reads.close()
        self.store.close()


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    opened = Room(tmp_path)
    opened.wakeups.attach(asyncio.get_running_loop())
    yield opened
    opened.wakeups.attach(None)
    opened.close()


def remove(path: str | Path) -> None:
    Path(path).unlink(missing_ok=True)


def write(run: Run, data: bytes) -> None:
    with Path(run.log_path).open("ab") as log:
        log.write(data)


async def test_lines_come_before_the_change_that_they_cause_even_when_both_are_there(room: Room) -> None:
    run = room.begin()
    async with aclosing(room.watch()) as messages:
        assert (await anext(messages)).opened.last_line == 0
        write(run, b"one\ntwo\n")
        room.finish(run)
        room.finish(room.begin(b"three\n"))
        room.rest()
        shown = [message async for message in messages]
    assert [message.WhichOneof("event") for message in shown[:2]] == ["lines", "lines"]
    assert {message.WhichOneof("event") for message in shown[2:]} <= {"task", "rested"}
    assert [message.lines.data for message in shown[:2]] == [b"one\ntwo\n", b"three\n"]
    assert [(message.lines.run_number, message.lines.first_line) for message in shown[:2]] == [(1, 1), (2, 3)]
    assert shown[-1].rested.task.last_line == 3


async def test_runs_are_looked_for_only_once_the_task_has_some(room: Room) -> None:
    async with aclosing(room.watch()) as messages:
        assert (await anext(messages)).opened.task.run_count == 0
        room.store.slots.claim(room.task_id, 1).result(PATIENCE)
        assert (await anext(messages)).task.slot == 1
        room.begin(b"one\n")
        assert (await anext(messages)).lines.data == b"one\n"
        assert (await anext(messages)).task.run_count == 1
    assert room.reads.done.count("holding") == 1


async def test_a_run_that_ends_while_a_watch_begins_is_watched_from_any_of_its_lines(room: Room) -> None:
    room.finish(room.begin(b"one\ntwo\n"))
    run = room.begin(b"three\nfour\n")
    room.reads.then["_read"] = lambda: room.finish(run)
    async with aclosing(room.watch(after_line=3)) as messages:
        opened = (await anext(messages)).opened
        assert (opened.last_line, opened.task.last_line) == (4, 2)  # the task was read before
        assert (await anext(messages)).lines.data == b"four\n"
        room.rest()
        assert [message async for message in messages][-1].rested.task.last_line == 4


async def test_a_run_that_ends_while_a_watch_looks_for_its_place_is_found(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = room.begin(b"line\n" * 20_000)
    room.reads.then["holding"] = lambda: room.finish(run)
    looks: list[int] = []
    pread = os.pread

    def look(fd: int, size: int, offset: int) -> bytes:
        looks.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", look)
    async with aclosing(room.watch(after_line=19_999)) as messages:
        assert (await anext(messages)).HasField("opened")
        assert (await anext(messages)).lines.data == b"line\n"
    # Not byte by byte.
    assert len(looks) < 100


async def test_a_task_that_is_continued_before_its_rest_was_told_goes_on(room: Room) -> None:
    run = room.begin()
    async with aclosing(room.watch()) as messages:
        await anext(messages)
        write(run, b"one\n")
        room.finish(run)
        assert (await anext(messages)).lines.data == b"one\n"
        room.rest()
        room.store.tasks.continue_(room.task_id, "Go on.").result(PATIENCE)
        room.finish(room.begin(b"two\n"))
        room.rest()
        shown = [message async for message in messages]
    ends = [message.WhichOneof("event") for message in shown]
    assert ends[-1] == "rested"
    assert ends.count("rested") == 1
    assert [message.lines.data for message in shown if message.HasField("lines")] == [b"two\n"]
    assert shown[-1].rested.task.state == TaskMessage.STATE_SUCCEEDED


async def test_a_crowd_of_watchers_receives_each_line_once_and_the_rest_last(room: Room) -> None:
    run = room.begin()
    texts = [b"line %d\n" % number for number in range(1, 301)]
    opened = asyncio.Semaphore(0)

    async def receive() -> bytes:
        lines: list[bytes] = []
        last = WatchTaskResponse()
        async with aclosing(room.watch()) as messages:
            async for message in messages:
                if message.WhichOneof("event") == "opened":
                    opened.release()
                elif message.WhichOneof("event") == "lines":
                    assert message.lines.first_line == b"".join(lines).count(b"\n") + 1
                    lines.append(message.lines.data)
                last = message
        assert last.rested.task.last_line == len(texts)
        return b"".join(lines)

    watching = [asyncio.ensure_future(receive()) for _ in range(CROWD + 20)]
    for _ in watching:
        await opened.acquire()
    for text in texts:
        write(run, text)
        # Lets the loop tell of some of them while others are written.
        await asyncio.sleep(0)
    await asyncio.to_thread(room.finish, run)
    await asyncio.to_thread(room.rest)
    assert await asyncio.gather(*watching) == [b"".join(texts)] * len(watching)


async def test_a_watch_is_sent_away_when_the_server_shuts_down(room: Room) -> None:
    run = room.begin()
    async with aclosing(room.watch()) as messages:
        await anext(messages)
        write(run, b"one\n")
        assert (await anext(messages)).lines.data == b"one\n"
        room.wakeups.drain()
        with pytest.raises(errors.ServerDraining):
            await anext(messages)
    room.finish(run)


@pytest.mark.parametrize("reads_on", [False, True])
async def test_a_watch_whose_next_lines_are_removed_ends_and_the_next_one_is_told(
    room: Room, *, reads_on: bool
) -> None:
    for log in (b"one\ntwo\n", b"three\n"):
        room.finish(room.begin(log))
    room.rest()
    async with aclosing(room.watch()) as watch:
        assert (await anext(watch)).opened.first_line == 1
        if reads_on:
            assert (await anext(watch)).lines.count == 2
        names = room.store.retention.remove_logs([room.task_id], clock.now() + timedelta(days=1)).result(PATIENCE)
        for name in names:
            remove(room.directory / name)
        assert [event async for event in watch] == []
    opened, rested = [event async for event in room.watch(after_line=2 if reads_on else 0)]
    assert (opened.opened.first_line, opened.opened.last_line) == (4, 3)
    assert rested.rested.task.last_line == 3
    # Lines that are lost in any other way are an error, as ever.
    room.store.tasks.continue_(room.task_id, "Again").result(PATIENCE)
    last = room.begin(b"four\n")
    room.finish(last)
    room.rest()
    remove(last.log_path)
    with pytest.raises(errors.LogLost):
        [event async for event in room.watch()]
