"""A server that `taskgrove run` starts for itself when none answers, and stops when the work is done.

Where the command is ended before it can do that, the server ends by itself: see its setting idle_exit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import click

import taskgrove
from taskgrove import connection, errors
from taskgrove.cli import exits
from taskgrove.v1 import task_pb2

#: Seconds in which a server must be ready, and in which it must end once it was told to.
_START_PATIENCE = 15.0
_STOP_PATIENCE = 15.0

#: Seconds for which a server that ended is given the benefit of the doubt: another one may be starting.
_RIVAL_PATIENCE = 3.0

_PAUSE = 0.05

#: Bytes of the log that are kept from one server to the next.
_LARGEST_LOG = 1_000_000

#: Seconds without calls and work after which a server ends by itself whose command could not stop it.
_IDLE_EXIT = 30

_ACTIVE = (task_pb2.Task.STATE_QUEUED, task_pb2.Task.STATE_RUNNING)


@contextlib.contextmanager
def ensured() -> Generator[PrivateServer | None]:
    """Makes sure that a server answers at the default target; yields it if it had to be started, else None.

    A server that was started is stopped at the end, unless it has other work; on SIGTERM and SIGHUP as well.
    """
    with _use() as use:
        if answers():
            yield None
            return
        before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
        server: PrivateServer | None = None
        try:
            server = PrivateServer.start()
            server.wait_until_ready()
            yield server
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if server:
                server.release(use)


@contextlib.contextmanager
def _use() -> Generator[int]:
    """Holds a lock that all commands share which rely on the default server; yields its descriptor.

    Who started the server stops it only while it alone has the lock: otherwise a command that had just found the
    server would lose it before its task is there to be seen.
    """
    directory = connection.default_data_directory()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "private-server.lock").open("wb")
    except OSError as error:
        raise exits.Unreachable(f"The data directory {directory} cannot be used: {error}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file.fileno()


def answers() -> bool:
    """Tells whether something listens on the socket in the default data directory."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(connection.default_target().removeprefix("unix:"))
        except OSError:
            return False
        return True


@dataclass(slots=True)
class PrivateServer:
    """A server process on the default data directory."""

    process: subprocess.Popen[bytes]
    log: Path
    #: Where in the log this server begins.
    log_start: int
    #: The task that the server was started for, once it has an id.
    task_id: str = ""

    @classmethod
    def start(cls) -> PrivateServer:
        """Starts a server."""
        program = _program()
        directory = connection.default_data_directory()
        log = directory / "private-server.log"
        try:
            if log.exists() and log.stat().st_size > _LARGEST_LOG:
                log.unlink()
            with log.open("ab") as stderr:
                start = stderr.tell()
                process = subprocess.Popen(
                    # Both named, so that no settings of the user's own lead it elsewhere.
                    [program, "--data-dir", directory, "--listen", connection.default_target()],
                    env={"TASKGROVE_IDLE_EXIT": str(_IDLE_EXIT), **os.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    # Ctrl-C in the terminal is meant for the task, not for the server.
                    start_new_session=True,
                )
        except OSError as error:
            raise exits.Unreachable(f"No server answers, and none could be started: {error}") from error
        return cls(process, log, start)

    def wait_until_ready(self) -> None:
        """Waits until a server answers: this one, or another that was started at the same time and came first."""
        deadline = time.monotonic() + _START_PATIENCE
        while not answers():
            if self.process.poll() is not None:
                # The data directory lets only one server live, which may be about to answer.
                deadline = min(deadline, time.monotonic() + _RIVAL_PATIENCE)
            if time.monotonic() >= deadline:
                status = self.process.returncode
                how = f"was not ready within {_START_PATIENCE:g} s" if status is None else f"ended with status {status}"
                raise exits.Unreachable(f"The server {how}: {self._last_words()}")
            time.sleep(_PAUSE)

    def release(self, use: int) -> None:
        """Stops the server, unless it has other work; `use` is the descriptor of the lock on its use."""
        if self.process.poll() is None and self._has_other_work(use):
            said = f"The server goes on with other work; stop it with: kill {self.process.pid}"
            click.echo(f"{said} (it ends by itself once it is idle)", err=True)
        else:
            self._stop()

    def _last_words(self) -> str:
        text = self.log.read_bytes()[self.log_start :].decode(errors="replace").strip()
        return text[-2000:] or f"it said nothing; see {self.log}."

    def _has_other_work(self, use: int) -> bool:
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        try:
            with taskgrove.Client(connection.default_target()) as client:
                active = list(client.list_tasks(states=_ACTIVE, view=task_pb2.TASK_VIEW_SUMMARY))
        except errors.TaskgroveError:
            return False
        # A task that is being cancelled is stopped even after the server is gone.
        return any(task.id != self.task_id or not task.cancel_requested for task in active)

    def _stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            click.echo(f"The server does not end; see {self.log}, or: kill -9 {self.process.pid}", err=True)


def _program() -> str:
    beside = Path(sys.executable).with_name("taskgroved")
    if beside.is_file():
        return str(beside)
    found = shutil.which("taskgroved")
    if found is None:
        raise exits.Unreachable(
            "No server answers, and none is installed to start one: install Taskgrove with its extra 'server', "
            "or name a server with --target."
        )
    return found


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
