"""Each long-lived thread, with an exception forced at each of its steps."""

from __future__ import annotations

import errno
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import tasks_gates
from support.run_logs import run_over
from taskgrove_server.agents.agent import Installation
from taskgrove_server.agents.versions import Program
from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.guarding import Troubles
from taskgrove_server.journal import notices
from taskgrove_server.journal.growing import GrowingLog
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.wakeups import Wakeups
from taskgrove_server.processes import exits
from taskgrove_server.runner import housekeeping
from taskgrove_server.runner.housekeeping import Housekeeping
from taskgrove_server.store.store import Store
from taskgrove_server.tokens import Token
from taskgrove_server.workers import Workers

PATIENCE = 30.0

#: How often a step fails before it is done.
TIMES = 3

RAISED: list[BaseException] = [
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    MemoryError(),
    RuntimeError("can't start new thread"),
    SystemExit(1),
]

any_error = pytest.mark.parametrize("error", RAISED, ids=lambda error: str(error) or type(error).__name__)


class Failing:
    """Does what it stands for, but raises the first times; lets a test wait until it has."""

    def __init__(self, original: Callable[..., Any], error: BaseException, times: int = TIMES) -> None:
        self._original = original
        self._error = error
        self._left = times
        self.failed = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self._left:
            self._left -= 1
            if not self._left:
                self.failed.set()
            raise self._error
        return self._original(*arguments, **options)


@pytest.fixture(autouse=True)
def _no_spinning(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever fails a few times says a few things."""
    with caplog.at_level(logging.WARNING):
        yield
    assert len(caplog.records) < 50


@pytest.fixture
def troubles() -> Iterator[Troubles]:
    """What is in trouble, which passes."""
    kept = Troubles()
    yield kept
    tasks_gates.until(lambda: not kept.current(), "the end of all troubles")


@pytest.fixture
def store(tmp_path: Path, troubles: Troubles) -> Iterator[Store]:
    opened = Store(tmp_path / "taskgrove.db", lambda _: None, troubles)
    yield opened
    opened.close()


def nothing(_: object) -> None:
    """Does nothing."""


def new_list(title: str) -> TaskList:
    now = clock.now()
    return TaskList(ids.new_task_list_id(), title, "/repository", RunConfig(), now, now)


def try_to_store(store: Store, count: int) -> list[str]:
    """Stores lists one after the other; returns the titles of those that were acknowledged."""
    stored: list[str] = []
    for number in range(count):
        title = f"List {number}"
        try:
            store.task_lists.create(new_list(title)).result(PATIENCE)
        except (errors.StoreUnavailable, OSError, MemoryError, RuntimeError, SystemExit):
            continue
        stored.append(title)
    return stored


def titles(store: Store) -> list[str]:
    return sorted(task_list.title for _, task_list in store.task_lists.page(None, 100, None))


@any_error
@pytest.mark.parametrize("step", ["_gather", "_make_ready", "_commit", "_change"])
def test_the_writer_answers_all_and_goes_on(
    store: Store, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    writer = store.task_lists._writer
    failing = Failing(getattr(writer, step), error)
    monkeypatch.setattr(writer, step, failing)
    stored = try_to_store(store, 2 * TIMES)
    assert failing.failed.is_set()
    assert stored, "nothing was stored after the failures"
    assert set(stored) <= set(titles(store))
    assert try_to_store(store, 1) == ["List 0"]


@any_error
@pytest.mark.parametrize("step", ["begin", "commit", "rollback", "connect", "pragma"])
def test_the_writer_goes_on_whatever_its_database_raises(
    store: Store, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    database = store._database
    failing = Failing(getattr(database, step), error)
    if step in {"rollback", "pragma"}:
        # Only asked for after another failure.
        monkeypatch.setattr(database, "commit", Failing(database.commit, OSError(errno.EIO, "Input/output error")))
    monkeypatch.setattr(database, step, failing)
    stored = try_to_store(store, 3 * TIMES)
    tasks_gates.until(lambda: not troubles.current(), "the end of the trouble")
    stored += try_to_store(store, 1)
    assert stored
    assert set(stored) <= set(titles(store))


@any_error
def test_a_change_that_raises_is_its_askers_alone(store: Store, error: BaseException) -> None:
    if isinstance(error, SystemExit):
        pytest.skip("no change ends the program")

    def change(_: object) -> None:
        raise error

    refused = store.task_lists._writer.submit(change)
    assert isinstance(refused.exception(PATIENCE), (type(error), errors.StoreUnavailable))
    assert try_to_store(store, 1)


@any_error
def test_what_is_told_of_a_commit_may_fail_and_the_commit_stands(tmp_path: Path, error: BaseException) -> None:
    troubles = Troubles()
    failing = Failing(nothing, error, 1)
    store = Store(tmp_path / "db", failing, troubles)
    changed = store.task_lists._writer.submit(lambda changed: changed.tasks.add(ids.new_task_id()))
    assert changed.exception(PATIENCE) is None
    assert [trouble.name for trouble in troubles.current()] == ["wake-ups"]
    assert store.task_lists._writer.submit(lambda changed: changed.tasks.add(ids.new_task_id())).exception(9) is None
    assert not troubles.current()
    store.close()


@any_error
def test_the_journal_loses_no_line(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    opened = notices.Notices()
    failing = Failing(opened.wait, error)
    monkeypatch.setattr(opened, "wait", failing)
    monkeypatch.setattr("taskgrove_server.journal.journal.Notices", lambda: opened)
    journal = Journal(Wakeups(), troubles)
    run = run_over(tmp_path / "log")
    seen: list[bytes] = []
    journal.follow(run, seen.append)
    for number in range(20):
        with (tmp_path / "log").open("ab") as log:
            log.write(b"%d\n" % number)
        failing.failed.wait(0.05)
    tasks_gates.until(lambda: len(seen) == 20, "all lines")
    assert failing.failed.is_set()
    assert seen == [b"%d" % number for number in range(20)]
    tasks_gates.until(lambda: not troubles.current(), "the end of the trouble")
    journal.end(run)
    journal.close()


@any_error
def test_the_journal_is_well_again_without_anything_to_read(
    troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    opened = notices.Notices()
    failing = Failing(opened.wait, error)
    monkeypatch.setattr(opened, "wait", failing)
    monkeypatch.setattr("taskgrove_server.journal.journal.Notices", lambda: opened)
    journal = Journal(Wakeups(), troubles)
    assert failing.failed.wait(PATIENCE)
    tasks_gates.until(lambda: not troubles.current(), "the end of the trouble")
    journal.close()


@any_error
@pytest.mark.parametrize("bad", ["read", "feed"])
def test_the_journal_reads_all_logs_whatever_one_of_them_raises(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException, bad: str
) -> None:
    if isinstance(error, SystemExit):
        pytest.skip("reading ends no program")
    journal = Journal(Wakeups(), troubles)
    runs = [run_over(tmp_path / f"log{number}") for number in range(3)]
    seen: list[list[bytes]] = [[], [], []]
    failing = Failing(seen[0].append if bad == "feed" else GrowingLog.read, error)
    for run, lines in zip(runs, seen, strict=True):
        journal.follow(run, failing if bad == "feed" and lines is seen[0] else lines.append)
    if bad == "read":

        def read(growing: GrowingLog) -> bool:
            return bool(failing(growing))

        monkeypatch.setattr(GrowingLog, "read", read)
    for number in range(20):
        for run in runs:
            with Path(run.log_path).open("ab") as log:
                log.write(b"%d\n" % number)
        failing.failed.wait(0.02)
    wanted = [b"%d" % number for number in range(20)]
    tasks_gates.until(lambda: all(lines[-1:] == wanted[-1:] for lines in seen), "the last lines")
    assert failing.failed.is_set()
    # What the parser refuses, and no more, it does not see again.
    assert seen[1:] == [wanted, wanted]
    assert seen[0] == (wanted[-len(seen[0]) :] if bad == "feed" else wanted)
    tasks_gates.until(lambda: not troubles.current(), "the end of the trouble")
    for run in runs:
        assert journal.end(run).lines == 20
    journal.close()


@any_error
@pytest.mark.parametrize("step", ["_find", "_sweep", "_ask"])
def test_what_tells_versions_goes_on_whatever_a_look_raises(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\necho 1.2.3\n")
    path.chmod(0o700)
    found = Installation(path=str(path), version_argv=(str(path),), environment=os.environ)
    program = Program("test", lambda: found, nothing, troubles)
    monkeypatch.setattr(program, step, Failing(getattr(program, step), error))
    program.start()

    def version() -> str:
        # Nobody who asks waits for ever.
        program.look().result(PATIENCE)
        return program.known.version if program.known else ""

    assert tasks_gates.until(version, "the version") == "1.2.3"
    program.close()


@any_error
def test_housekeeping_does_each_chore_whatever_others_raise(
    troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(housekeeping, "INTERVAL", 0.01)
    done = threading.Event()
    left = threading.Event()
    failing = Failing(nothing, error)

    def chore(_: object) -> None:
        if failing.failed.is_set():
            done.set()

    keeping = Housekeeping({"one": failing, "two": chore}, left.set, troubles)
    keeping.start()
    assert done.wait(PATIENCE)
    tasks_gates.until(lambda: not troubles.current(), "the end of the trouble")
    keeping.stop()
    assert left.is_set()


@any_error
def test_housekeeping_goes_on_when_it_cannot_wait(
    troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(housekeeping, "INTERVAL", 0.01)
    rounds: list[int] = []
    keeping = Housekeeping({"one": lambda _: rounds.append(1)}, lambda: None, troubles)
    failing = Failing(keeping._stopped.wait, error)
    monkeypatch.setattr(keeping._stopped, "wait", failing)
    keeping.start()
    assert failing.failed.wait(PATIENCE)
    before = len(rounds)
    tasks_gates.until(lambda: len(rounds) > before + 1, "further rounds")
    keeping.stop()


@any_error
def test_a_pool_outlives_all_that_is_done_in_it(troubles: Troubles, error: BaseException) -> None:
    workers = Workers(2, "test", troubles)
    failing = Failing(threading.get_ident, error, 10)
    done = [workers.submit(failing) for _ in range(30)]
    assert [type(one.exception(PATIENCE)) for one in done[:10]] == [type(error)] * 10
    assert len({one.result(PATIENCE) for one in done[10:]}) <= 2
    workers.shutdown()


def test_a_pool_for_which_there_are_not_enough_threads_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def starting(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starting)
    with pytest.raises(RuntimeError):
        Workers(4, "test")
    assert threading.active_count() == before


@any_error
def test_the_end_of_a_process_is_not_taken_from_a_failure(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(error, SystemExit):
        pytest.skip("waiting for a process ends no program")
    monkeypatch.setattr(exits, "_PAUSE", 0.01)
    ended = threading.Event()
    failing = Failing(ended.wait, error)
    descriptor = exits.by_thread(failing)
    try:
        assert failing.failed.wait(PATIENCE)
        assert not select.select([descriptor], [], [], 0.05)[0]
        ended.set()
        assert select.select([descriptor], [], [], PATIENCE)[0]
    finally:
        os.close(descriptor)


def test_a_process_that_no_thread_can_wait_for_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(BlockingIOError):
        exits.by_thread(lambda: None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@any_error
def test_a_token_that_cannot_be_looked_at_stays_and_is_followed_later(
    tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("taskgrove_server.tokens._INTERVAL", 0.0)
    token = Token(tmp_path / "token", troubles)
    first = token.current()
    monkeypatch.setattr(token, "_follow", Failing(token._follow, error))
    (tmp_path / "token").write_text("x" * 40)
    for _ in range(TIMES):
        assert token.current() == first
        assert [trouble.name for trouble in troubles.current()] == ["token"]
    assert token.current() == "x" * 40
