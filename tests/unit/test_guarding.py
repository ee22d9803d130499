"""What a thread that must go on does about whatever its steps raise."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from taskgrove_server import guarding
from taskgrove_server.domain import clock, errors
from taskgrove_server.guarding import Steady, Troubles, guarded

RAISED: list[BaseException] = [
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    MemoryError(),
    RuntimeError("can't start new thread"),
    errors.StoreUnavailable("the disk is full"),
    SystemExit(1),
]


def raising(error: BaseException) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_step_that_raises_is_noted_and_cleared_by_one_that_does_not(error: BaseException) -> None:
    troubles = Troubles()
    before = clock.now()
    assert guarded("one", raising(error), troubles, vital=True) is None
    assert guarded("one", raising(error), troubles, vital=True) is None
    (trouble,) = troubles.current()
    assert (trouble.name, trouble.count, trouble.vital) == ("one", 2, True)
    assert before <= trouble.begin_time <= clock.now() + timedelta(seconds=1)
    assert trouble.message
    assert guarded("one", lambda: 7, troubles) == 7
    assert troubles.current() == ()


def test_troubles_are_told_by_name_and_only_while_they_last() -> None:
    troubles = Troubles()
    for name in ("writer", "dispatcher", "journal"):
        troubles.note(name, MemoryError())
    troubles.clear("journal")
    assert [trouble.name for trouble in troubles.current()] == ["dispatcher", "writer"]


def test_the_log_has_a_trace_once_and_counts_then(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            guarded("one", raising(OSError(errno.EIO, "Input/output error")), troubles)
        troubles.clear("one")
    traces = [record for record in caplog.records if record.exc_info]
    assert len(traces) == 1
    assert len(caplog.records) < 15
    assert "after 1000 failures" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x", "/data/lock"), "No space left on device: /data/lock"),
        (MemoryError(), "Memory is short"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (errors.StoreUnavailable("the disk is full"), str(errors.StoreUnavailable("the disk is full")).rstrip(".")),
        (ValueError("token=s3cret"), "Failed with ValueError; see the server's log"),
    ],
)
def test_an_error_is_told_as_a_sentence_without_what_may_be_secret(error: Exception, message: str) -> None:
    assert guarding.told(error) == message


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_thread_outlives_what_its_step_raises(error: BaseException) -> None:
    troubles = Troubles()
    left, gone_on = threading.Event(), threading.Event()
    steps = [raising(error), raising(error), gone_on.set]

    def step() -> None:
        if steps:
            steps.pop(0)()
        else:
            steady.stop()

    steady = Steady("one", step, troubles, leave=left.set)
    steady.start()
    steady.join()
    assert gone_on.is_set()
    assert left.is_set()
    assert troubles.current() == ()


def test_a_thread_that_fails_always_does_not_spin_and_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    failed = threading.Event()

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            pauses.append(timeout)
            if len(pauses) == 12:
                failed.set()
                return super().wait()
            return self.is_set()

    steady = Steady("one", raising(MemoryError()), Troubles())
    monkeypatch.setattr(steady, "_stopped", Watched())
    steady.start()
    failed.wait()
    steady.stop()
    steady.join()
    assert pauses == sorted(pauses)
    assert pauses[0] == guarding.SHORTEST_PAUSE
    assert pauses[-1] == guarding.LONGEST_PAUSE


def test_a_thread_that_was_never_started_is_not_waited_for() -> None:
    steady = Steady("one", lambda: None, Troubles())
    steady.stop()
    steady.join()
