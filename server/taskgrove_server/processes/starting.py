"""Starts supervised processes, and finds them again after a restart of the server."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.processes import ending, exits, files, program, run_lock, supervised
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.fork_server import ForkServer
from taskgrove_server.processes.spec import Spec
from taskgrove_server.processes.supervised import Supervised

#: What supervisors are forked from, if the server keeps one.
fork_server = ForkServer()


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The process of a run was never started, and never will be."""


def start(run_directory: Path, spec: Spec) -> Supervised:
    """Starts a process under a supervisor of its own, and returns without waiting for it.

    A program that cannot be started is no error here but the process's end: see ProcessEnd.spawn_error. Raises
    FileExistsError if a process was started in this directory before, ValueError if the spec names no program,
    and OSError if the machine has no room for another process. After an error nothing is running.
    """
    orders = spec.orders().encode()
    directory = Path(os.path.abspath(run_directory))  # noqa: PTH100 - resolve() would follow symbolic links
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.mkfifo(directory / files.CONTROL, 0o600)
    # Open from here on, so that messages to a supervisor that is not there yet are kept.
    control = _open_control(directory)
    try:
        files.write_private(directory / files.ORDERS, orders)
        exit_fd, supervisor = _start_supervisor(directory)
    except BaseException:
        os.close(control)
        raise
    return Supervised(directory, spec.run_id, exit_fd=exit_fd, control=control, supervisor=supervisor, is_ours=True)


def adopt(run_directory: Path) -> Supervised | ProcessEnd | NeverStarted:
    """Finds out what became of a run that another server started, by the lock that its supervisor holds.

    If the supervisor is gone without a word, ends what is left of the run before it returns. After NeverStarted a
    supervisor that was on its way will start nothing. Raises TimeoutError if the lock is held by somebody else.
    """
    directory = Path(os.path.abspath(run_directory))  # noqa: PTH100 - as above
    try:
        lock = os.open(directory / files.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return NeverStarted()
    try:
        deadline = time.monotonic() + 5
        while not run_lock.take(lock):
            if found := _supervised(directory, lock):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{directory / files.LOCK} is locked, but not by the supervisor that it names.")
            # The supervisor has just taken the lock, or another process is looking as well.
            time.sleep(0.005)
        # Whoever finds its orders gone starts nothing.
        holder = run_lock.holder(lock)
        if holder is None or (directory / files.ORDERS).exists():
            # First: a server that is killed in between is followed by one that finds the same.
            os.ftruncate(lock, 0)
            (directory / files.ORDERS).unlink(missing_ok=True)
            return NeverStarted()
    finally:
        os.close(lock)
    return ending.of(directory, holder[1])


def _start_supervisor(directory: Path) -> tuple[int, subprocess.Popen[bytes] | None]:
    """Returns a descriptor that polls readable from when the run's supervisor has ended, and its process if ours.

    The descriptor is the end of a pipe whose other end the supervisor holds. So whichever comes up is waited for,
    if there are two.
    """
    supervised.reap_left_running()
    exit_fd, alive = os.pipe()
    supervisor = None
    try:
        if not fork_server.fork(directory, alive):
            supervisor = _spawn(directory, alive)
    except BaseException as error:
        # One that is forked late starts nothing any more if its orders are gone; and if it was first, it has started.
        if _take_back(directory) or not isinstance(error, OSError):
            os.close(exit_fd)
            raise
    finally:
        os.close(alive)
    return exit_fd, supervisor


def _spawn(directory: Path, alive: int) -> subprocess.Popen[bytes]:
    stderr = os.open(directory / files.STDERR, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return program.spawn((directory,), stdin=subprocess.DEVNULL, stdout=alive, stderr=stderr)
    finally:
        os.close(stderr)


def _take_back(directory: Path) -> bool:
    """Takes the orders away, and tells whether they were there: a supervisor removes them before it starts anything."""
    try:
        (directory / files.ORDERS).unlink()
    except FileNotFoundError:
        return False
    return True


def _open_control(directory: Path) -> int:
    return os.open(directory / files.CONTROL, os.O_RDWR | os.O_NONBLOCK)


def _supervised(directory: Path, lock: int) -> Supervised | None:
    """Returns the handle of the supervisor that holds the lock; None if that is not clear yet."""
    if not (holder := run_lock.holder(lock)):
        return None
    pid, run_id = holder
    try:
        exit_fd = exits.watch(pid, lambda: run_lock.wait_for_release(directory))
    except ProcessLookupError:
        return None
    try:
        # The supervisor holds the lock while it lives, so if it does so still, the descriptor is of no later process
        # with the same id.
        control = None if run_lock.take(lock) else _open_control(directory)
    except BaseException:
        os.close(exit_fd)
        raise
    if control is None:
        os.close(exit_fd)
        return None
    return Supervised(directory, run_id, exit_fd=exit_fd, control=control)
