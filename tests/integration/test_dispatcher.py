"""The dispatcher over a real store, with work that stands still where it matters."""

from __future__ import annotations

import errno
import pkgutil
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support import tasks_gates
from taskgrove_server import guarding
from taskgrove_server.agents import registry
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.errors import StoreUnavailable
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.guarding import Troubles
from taskgrove_server.runner.dispatcher import Dispatcher
from taskgrove_server.runner.holding import Holding
from taskgrove_server.runner.mailbox import Mailbox
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.signals.commits import Commits
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.store.writer import Changed

#: Seconds within which everything has to happen.
PATIENCE = 10.0

Work = Callable[[Task, Mailbox], None]


class Room:
    """A store, and dispatchers over it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.commits = Commits()
        self.troubles = Troubles()
        self.store = Store(path, self.commits.tell, self.troubles)
        stack.callback(self.store.close)
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(), now, now)
        self._list = self.store.task_lists.create(task_list).result(PATIENCE)

    def dispatch(self, slots: int, work: Work) -> Dispatcher:
        space = FreeSpace(Path(), 0)
        holding = Holding(self.store, registry.shipped(), space, timedelta(seconds=1))
        dispatcher = Dispatcher(self.store, slots, space, holding, work, self.troubles)
        self.commits.listen(dispatcher.changed)
        self._stack.callback(dispatcher.wait, PATIENCE)
        self._stack.callback(dispatcher.stop, stop_runs=False)
        dispatcher.start()
        return dispatcher

    def enqueue(self, title: str) -> Task:
        now = clock.now()
        task = Task(ids.new_task_id(), self._list.id, title, "", (), RunConfig(), TaskState.QUEUED, now, now)
        return self.store.tasks.enqueue(task).result(PATIENCE)

    @contextmanager
    def writer_held(self) -> Generator[Callable[[], int]]:
        """Lets no change happen; yields what tells how many wait."""
        writer = self.store._writer
        begun, may_end = threading.Event(), threading.Event()

        def hold(_changed: Changed) -> None:
            begun.set()
            assert may_end.wait(PATIENCE)

        held = writer.submit(hold)
        assert begun.wait(PATIENCE)
        try:
            yield writer._queue.qsize
        finally:
            may_end.set()
            held.result(PATIENCE)

    def run_and_rest(self, task: Task) -> None:
        """Does what a slot does for a task, without a process."""
        session_id, config = ids.new_session_id(), RunConfig()
        new = NewRun(ids.new_run_id(), task.id, False, "", "command", None, session_id, False, config, "/", None)
        run = self.store.runs.begin(new, "/logs").result(PATIENCE)
        assert run is not None
        self.store.runs.finish(run, Outcome(session_id=run.session_id), 0, 0).result(PATIENCE)
        self.store.slots.rest(task.id, TaskState.SUCCEEDED).result(PATIENCE)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(tmp_path / "taskgrove.db", stack)


def test_a_task_that_is_continued_before_its_slot_is_free_can_be_cancelled(room: Room) -> None:
    continued, another, cancelled = threading.Event(), threading.Event(), threading.Event()

    def work(task: Task, mailbox: Mailbox) -> None:
        if task.title == "Another":
            another.set()
        elif task.run_count:
            continued.set()
            mailbox.wait(PATIENCE)
            if mailbox.cancelled:
                cancelled.set()
        else:
            room.run_and_rest(task)
            room.store.tasks.continue_(task.id, "Go on.").result(PATIENCE)
            # Its next run begins in the other slot while this one is not free yet.
            assert continued.wait(PATIENCE)

    room.dispatch(2, work)
    task = room.enqueue("Continued")
    assert continued.wait(PATIENCE)
    room.enqueue("Another")
    assert another.wait(PATIENCE)  # in the slot of the first run, which is free by now
    room.store.tasks.cancel(task.id).result(PATIENCE)
    assert cancelled.wait(PATIENCE)


def test_a_slot_that_becomes_free_during_a_claim_does_not_take_the_place_of_the_claimed_one(room: Room) -> None:
    may_end = {title: threading.Event() for title in ("A", "B", "C", "D")}
    slots: queue.SimpleQueue[tuple[str, int | None]] = queue.SimpleQueue()

    def work(task: Task, mailbox: Mailbox) -> None:
        slots.put((task.title, task.slot))
        assert may_end[task.title].wait(PATIENCE)

    for title in ("A", "B", "C"):
        room.enqueue(title)
    dispatcher = room.dispatch(2, work)
    assert {slots.get(timeout=PATIENCE) for _ in range(2)} == {("A", 1), ("B", 2)}
    with room.writer_held() as waiting:
        may_end["B"].set()
        tasks_gates.until(lambda: waiting() == 1, "the claim for slot 2", patience=PATIENCE)
        may_end["A"].set()
        tasks_gates.until(lambda: 1 in dispatcher._free, "slot 1", patience=PATIENCE)
    assert slots.get(timeout=PATIENCE) == ("C", 2)
    room.enqueue("D")
    assert slots.get(timeout=PATIENCE) == ("D", 1)
    may_end["C"].set()
    may_end["D"].set()


def test_work_that_fails_loses_no_slot(room: Room) -> None:
    done = threading.Semaphore(0)

    def work(task: Task, mailbox: Mailbox) -> None:
        room.run_and_rest(task)
        done.release()
        raise RuntimeError("scripted")

    dispatcher = room.dispatch(2, work)
    for number in range(6):
        room.enqueue(f"Task {number}")
    for _ in range(6):
        assert done.acquire(timeout=PATIENCE)
    tasks_gates.until(lambda: sorted(dispatcher._free) == [1, 2], "both slots")


def test_a_cancel_between_the_claim_and_the_slot_is_heard(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    claim = room.store.slots.claim

    def claim_and_cancel(task_id: TaskId, slot: int) -> Future[Task | None]:
        claimed = claim(task_id, slot)
        if task := claimed.result(PATIENCE):
            room.store.tasks.cancel(task.id).result(PATIENCE)
        return claimed

    def work(task: Task, mailbox: Mailbox) -> None:
        mailbox.wait(PATIENCE)
        if mailbox.cancelled:
            cancelled.set()

    monkeypatch.setattr(room.store.slots, "claim", claim_and_cancel)
    room.dispatch(1, work)
    room.enqueue("Cancelled early")
    assert cancelled.wait(PATIENCE)


def test_a_cancel_interrupts_what_begins_after_it(room: Room) -> None:
    interrupted = threading.Event()

    def work(task: Task, mailbox: Mailbox) -> None:
        room.store.tasks.cancel(task.id).result(PATIENCE)
        tasks_gates.until(lambda: mailbox.cancelled, "the cancel")
        with mailbox.interruptible(interrupted.set):
            assert interrupted.wait(PATIENCE)

    room.dispatch(1, work)
    room.enqueue("Between two commands")
    assert interrupted.wait(PATIENCE)


def test_what_no_commit_told_of_is_found_by_itself(room: Room) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def work(task: Task, mailbox: Mailbox) -> None:
        begun.set()
        mailbox.wait(PATIENCE)
        if mailbox.cancelled:
            cancelled.set()

    room.dispatch(1, work)
    room.commits._listeners.clear()
    task = room.enqueue("Unheard")
    assert begun.wait(PATIENCE)
    room.store.tasks.cancel(task.id).result(PATIENCE)
    assert cancelled.wait(PATIENCE)


any_error = pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, "Too many open files"), MemoryError(), RuntimeError("scripted"), StoreUnavailable("away")],
    ids=lambda error: type(error).__name__,
)


@any_error
@pytest.mark.parametrize("step", ["next", "claim", "cancelled"])
def test_the_dispatcher_outlives_whatever_a_step_raises(
    room: Room, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    done, failed = threading.Event(), threading.Event()
    honest = getattr(room.store.slots, step)

    def fail_once(*arguments: object) -> object:
        if not failed.is_set():
            failed.set()
            raise error
        return honest(*arguments)

    def work(task: Task, mailbox: Mailbox) -> None:
        if task.title == "Waits":
            mailbox.wait(PATIENCE)
        else:
            done.set()

    dispatcher = room.dispatch(2, work)
    waits = room.enqueue("Waits")
    tasks_gates.until(lambda: dispatcher.busy == 1, "the first task")
    monkeypatch.setattr(room.store.slots, step, fail_once)
    room.enqueue("Follows")
    assert failed.wait(PATIENCE)
    assert done.wait(PATIENCE)
    room.store.tasks.cancel(waits.id).result(PATIENCE)
    tasks_gates.until(lambda: sorted(dispatcher._free) == [1, 2], "both slots")


@any_error
@pytest.mark.parametrize(
    "step",
    [
        "dispatcher.FreeSpace.short",
        "dispatcher.Mailbox",
        "dispatcher.Dispatcher._pass_on_cancels",
        "dispatcher.Dispatcher._put_back",
        "dispatcher.Dispatcher._take_slot",
        "dispatcher.Dispatcher._next",
        "dispatcher.threading.Event.wait",
    ],
)
def test_what_the_dispatcher_has_trouble_with_is_told_and_every_task_is_done_once(
    room: Room, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    fails = True
    owner, _, name = f"taskgrove_server.runner.{step}".rpartition(".")
    honest = getattr(pkgutil.resolve_name(owner), name)

    def fail(*arguments: Any, **options: Any) -> Any:
        # Others wait as well.
        if fails and threading.current_thread().name == "dispatcher":
            raise error
        return honest(*arguments, **options)

    def work(task: Task, mailbox: Mailbox) -> None:
        room.run_and_rest(task)
        done.put(task.title)

    for number in range(5):
        room.enqueue(f"Task {number}")
    monkeypatch.setattr(f"{owner}.{name}", fail)
    dispatcher = room.dispatch(2, work)
    told = tasks_gates.until(lambda: {one.name: one for one in room.troubles.current()}.get("dispatcher"), "trouble")
    assert told.vital
    assert told.message == guarding.told(error)
    assert done.empty()
    fails = False
    assert sorted(done.get(timeout=PATIENCE) for _ in range(5)) == [f"Task {number}" for number in range(5)]
    tasks_gates.until(lambda: sorted(dispatcher._free) == [1, 2] and dispatcher.busy == 0, "both slots")
    tasks_gates.until(lambda: not room.troubles.current(), "the end of the trouble")
    assert done.empty()


def test_a_task_for_which_there_is_no_thread_goes_back_to_its_place(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    start, failed = threading.Thread.start, threading.Event()

    def start_later(thread: threading.Thread) -> None:
        if thread.name.startswith("slot") and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(task: Task, mailbox: Mailbox) -> None:
        room.run_and_rest(task)
        done.put(task.title)

    monkeypatch.setattr(threading.Thread, "start", start_later)
    for title in ("First", "Second", "Third"):
        room.enqueue(title)
    dispatcher = room.dispatch(1, work)
    assert [done.get(timeout=PATIENCE) for _ in range(3)] == ["First", "Second", "Third"]
    assert failed.is_set()
    tasks_gates.until(lambda: dispatcher._free == [1] and dispatcher.busy == 0, "the slot")
    assert done.empty()
