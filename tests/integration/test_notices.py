"""Notices that the kernel refuses, at each of its calls, over a real journal."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import descriptors
from support.run_logs import Lines, run_over
from taskgrove_server.domain.run import Run
from taskgrove_server.journal import notices
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.notices import Inotify
from taskgrove_server.journal.wakeups import Wakeups

CALLS = ["__init__", "add", "read", "remove"]

ERRORS = [errno.ENOSPC, errno.EMFILE, errno.ENOMEM, errno.EINVAL, errno.EBADF, errno.EACCES]


def refusing(code: int) -> Callable[..., Any]:
    def refuse(*_: object) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


def append(run: Run, data: bytes) -> None:
    with Path(run.log_path).open("ab") as log:
        log.write(data)


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_logs_are_followed_whatever_inotify_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, code: int
) -> None:
    before = descriptors.own()
    monkeypatch.setattr(Inotify, call, refusing(code))
    journal = Journal(Wakeups())
    try:
        followed = [(run_over(tmp_path / f"log{number}"), Lines()) for number in range(3)]
        for run, lines in followed:
            journal.follow(run, lines)
        for round_ in range(3):
            for run, lines in followed:
                append(run, b"%d\n" % round_)
                lines.wait_for(round_ + 1)
        for run, lines in followed:
            assert journal.end(run) == Extent(3, 6)
            assert lines.all == [b"0", b"1", b"2"]
            journal.release(run)
    finally:
        journal.close()
    assert descriptors.own() == before


@pytest.mark.parametrize("call", CALLS)
def test_what_begins_after_a_shortage_has_notices_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str
) -> None:
    journal = Journal(Wakeups())
    try:
        with monkeypatch.context() as shortage:
            shortage.setattr(Inotify, call, refusing(errno.ENOSPC))
            early, early_lines = run_over(tmp_path / "early"), Lines()
            journal.follow(early, early_lines)
            append(early, b"one\n")
            early_lines.wait_for(1)
        # Only a notice brings its lines soon enough.
        monkeypatch.setattr(notices, "NAP", 3600.0)
        late, late_lines = run_over(tmp_path / "late"), Lines()
        journal.follow(late, late_lines)
        # The last nap of the other log may still go on.
        append(late, b"one\n")
        late_lines.wait_for(1)
        append(late, b"two\n")
        late_lines.wait_for(2)
        append(early, b"two\n")
        assert journal.end(early) == Extent(2, 8)
        assert journal.end(late) == Extent(2, 8)
        assert early_lines.all == late_lines.all == [b"one", b"two"]
    finally:
        journal.close()


def test_all_logs_are_looked_at_when_the_kernel_has_lost_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = Inotify.read

    def overflow(inotify: Inotify) -> None:
        read(inotify)

    monkeypatch.setattr(Inotify, "read", overflow)
    journal = Journal(Wakeups())
    try:
        followed = [(run_over(tmp_path / f"log{number}"), Lines()) for number in range(3)]
        for run, lines in followed:
            journal.follow(run, lines)
        for run, _ in followed:
            append(run, b"one\n")
        for run, lines in followed:
            lines.wait_for(1)
            journal.end(run)
    finally:
        journal.close()


def test_a_log_that_cannot_be_followed_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run, lines = run_over(tmp_path / "log"), Lines()
    append(run, b"one\n")
    journal = Journal(Wakeups())
    try:
        before = descriptors.own()
        with monkeypatch.context() as fault:
            fault.setattr(os, "pread", refusing(errno.EIO))
            for _ in range(3):
                with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                    journal.follow(run, lines)
        assert descriptors.own() == before
        journal.follow(run, lines)
        assert journal.end(run) == Extent(1, 4)
    finally:
        journal.close()


def test_a_log_that_was_never_ended_is_closed_when_the_next_one_of_its_task_is_followed(tmp_path: Path) -> None:
    run, lines = run_over(tmp_path / "log"), Lines()
    journal = Journal(Wakeups())
    try:
        journal.follow(run, Lines())
        journal.follow(run, lines)
        append(run, b"one\n")
        lines.wait_for(1)
        assert descriptors.own().count(run.log_path) == 1
        assert journal.end(run) == Extent(1, 4)
        assert descriptors.own().count(run.log_path) == 0
    finally:
        journal.close()


def test_many_notices_lose_none(tmp_path: Path) -> None:
    journal = Journal(Wakeups())
    try:
        for number in range(300):
            run, lines = run_over(tmp_path / f"log{number}"), Lines()
            journal.follow(run, lines)
            append(run, b"x\n")
            lines.wait_for(1)
            Path(run.log_path).unlink()
            journal.end(run)
            journal.release(run)
    finally:
        journal.close()
