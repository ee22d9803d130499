"""The lock on a run's directory, which its supervisor holds for as long as it lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path

from taskgrove_server.domain.ids import RunId
from taskgrove_server.processes import files


def take(lock: int) -> bool:
    """Takes the lock if it is free, and tells whether it was."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(lock: int) -> tuple[int, RunId] | None:
    """Returns the supervisor's process id and the run, once it has written them."""
    pid, _, run_id = os.pread(lock, 4096, 0).decode().rstrip("\n").partition(" ")
    return (int(pid), RunId(run_id)) if run_id else None


def wait_for_release(directory: Path) -> None:
    """Returns when nobody holds the lock."""
    lock = os.open(directory / files.LOCK, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def wake_holder(directory: Path) -> None:
    """Lets the supervisor go on if somebody has stopped it, where the system can tell it from a later process."""
    # AttributeError: no pidfd_open.
    with contextlib.suppress(OSError, AttributeError), contextlib.ExitStack() as opened:
        lock = os.open(directory / files.LOCK, os.O_RDWR)
        opened.callback(os.close, lock)
        if not (held := holder(lock)):
            # Not for a moment may the lock be taken from a supervisor that is about to take it.
            return
        process = os.pidfd_open(held[0])
        opened.callback(os.close, process)
        # Who holds the lock still has been the process with this id when the descriptor was opened.
        if not take(lock):
            signal.pidfd_send_signal(process, signal.SIGCONT)
