"""Asks programs for their versions in the background, and remembers the answers while the programs stay the same.

What a program does when it is asked is its own business: it may hang, print without end, start others that stay, or
heed no signal. So nobody waits for it but the thread that asks, and whatever it has started is ended in the end.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.agents.agent import Installation
from taskgrove_server.guarding import Steady, Troubles

log = logging.getLogger(__name__)

#: Seconds that a program has to tell its version.
PATIENCE = 20.0

#: Seconds before a program that has not told its version is asked again: at first, and at most.
PAUSE = 60.0
LONGEST_PAUSE = 3600.0

#: Seconds that a thread has to end: what it asks is killed at once, and swept after a second.
_ENDING = 5.0

#: Seconds after which what a program has started is looked for once more: while a process becomes another program, the
#: kernel shows no environment of it.
_LATE = 0.05

#: Bytes of what a program prints that are looked at; it stands still when it has filled a pipe, and does no harm.
_LOOKED_AT = 1 << 16

#: The variable that everything carries which a program starts while it is asked.
_MARK = "TASKGROVE_VERSION_OF"

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a program: how it is installed, and its version, empty while it has told none."""

    installation: Installation
    version: str = ""


class Program:
    """A program, which a thread of its own looks for and asks.

    `find` says how it is installed, `sweep` ends what carries a variable, written "NAME=value", and `patience` is how
    many seconds the program has.
    """

    def __init__(
        self,
        name: str,
        find: Callable[[], Installation],
        sweep: Callable[[str], object],
        troubles: Troubles,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self._find = find
        self._sweep = sweep
        self._patience = patience
        self._known: Known | None = None
        #: The program's file as it was when it was last asked, and when it may be asked again if it told nothing.
        self._asked: tuple[object, ...] | None = None
        self._next = 0.0
        self._pause = PAUSE
        self._lock = threading.Lock()
        #: Held while the program is started, which may hang as well.
        self._starting = threading.Lock()
        self._wanted = threading.Event()
        self._looked: Future[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._thread = Steady(f"version of {name}", self._answer, troubles)

    @property
    def known(self) -> Known | None:
        """What is known by now; None until the program was looked for."""
        return self._known

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()
        self.look()

    def look(self) -> Future[None]:
        """Has the program looked at, and asked if its file has changed; the future resolves when that is done."""
        with self._lock:
            if self._looked is None:
                self._looked = Future()
            self._wanted.set()
            return self._looked

    def close(self) -> None:
        """Ends the thread, with whatever the program does."""
        with self._lock:
            self._closed = True
            self._thread.stop()
            self._wanted.set()
        if self._starting.acquire(timeout=_ENDING):
            if self._process is not None:
                _kill(self._process)
            self._starting.release()
        # One that hangs in the kernel ends with the server.
        self._thread.join(_ENDING)

    def _answer(self) -> None:
        self._wanted.wait()
        with self._lock:
            self._wanted.clear()
            looked, self._looked = self._looked, None
        try:
            if not self._closed:
                self._look()
        finally:
            with self._lock:
                # Those who wait are of an event loop that may be gone once this is closed.
                if looked is not None and not self._closed:
                    looked.set_result(None)

    def _look(self) -> None:
        installation = self._find()
        state = _state(installation)
        same = state is not None and state == self._asked
        version = self._known.version if self._known and same else ""
        self._known = Known(installation, version)
        if state is None or version or (same and time.monotonic() < self._next):
            return
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if same else PAUSE
        self._known = Known(installation, self._ask(installation))
        self._asked, self._next = state, time.monotonic() + self._pause

    def _ask(self, installation: Installation) -> str:
        value = uuid.uuid4().hex
        try:
            process = self._begin(installation, value)
            if process is None:
                return ""
            with process:
                try:
                    process.wait(self._patience)
                except subprocess.TimeoutExpired:
                    log.warning("%s was given up after %g s", " ".join(installation.version_argv), self._patience)
                    _kill(process)
                process.wait()
                with self._starting:
                    self._process = None
                return _read(process)
        except OSError as error:
            log.warning("%s does not tell its version: %s", installation.version_argv[0], error)
            return ""
        finally:
            for pause in (0.0, _LATE):
                time.sleep(pause)
                self._sweep(f"{_MARK}={value}")

    def _begin(self, installation: Installation, value: str) -> subprocess.Popen[bytes] | None:
        """Starts the program, unless this is closed; nobody who closes misses one that has just been started."""
        with self._starting:
            if self._closed:
                return None
            self._process = subprocess.Popen(
                installation.version_argv,
                env={**installation.environment, _MARK: value},
                cwd=os.sep,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._process


class Versions:
    """The programs of which the server tells."""

    def __init__(
        self,
        programs: dict[str, Callable[[], Installation]],
        sweep: Callable[[str], object],
        troubles: Troubles | None = None,
    ) -> None:
        kept = troubles or Troubles()
        self._programs = {name: Program(name, find, sweep, kept) for name, find in programs.items()}

    def start(self) -> None:
        """Begins to look at all of them."""
        for program in self._programs.values():
            program.start()

    def look(self) -> list[Future[None]]:
        """Has all looked at; see Program.look."""
        return [program.look() for program in self._programs.values()]

    def of(self, name: str) -> Known | None:
        """Returns what is known of a program by now."""
        return self._programs[name].known

    def close(self) -> None:
        """Ends the threads, with whatever the programs do."""
        for program in self._programs.values():
            program.close()


def _state(installation: Installation) -> tuple[object, ...] | None:
    """Returns what changes with the file of a program; None for one that has no version to tell, or is not there."""
    if not installation.version_argv:
        return None
    program = installation.version_argv[0]
    try:
        state = Path(program).stat()
    except OSError:
        return None
    return program, state.st_ino, state.st_mtime_ns, state.st_size


def _read(process: subprocess.Popen[bytes]) -> str:
    """Returns the version in what a program has printed. What it started may hold the pipe open, and go on printing."""
    if process.stdout is None:
        return ""
    os.set_blocking(process.stdout.fileno(), False)
    try:
        printed = os.read(process.stdout.fileno(), _LOOKED_AT)
    except BlockingIOError:
        return ""
    found = _VERSION.search(printed.decode(errors="replace"))
    return found[0] if found else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
