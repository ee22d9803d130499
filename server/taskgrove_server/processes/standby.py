"""A supervisor that stands by before there is a run for it.

To start an interpreter takes longer than all else on the way to an agent's first line, git aside. The next one is
started when a task comes to rest, or when another begins before that, while git makes its worktree; never while an
agent starts, which would have to share the processors with it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

PROGRAM = Path(__file__).with_name("supervisor.py")


class Standby:
    """Keeps one supervisor ready, from `prepare` until `dismiss`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._ready: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Begins to keep one ready."""
        self._wanted = True
        self.renew()

    def renew(self) -> None:
        """Starts the next one, if one is wanted and none is there. A run does without it where that fails."""
        with self._lock, contextlib.suppress(OSError):
            if self._wanted and self._ready is None:
                self._ready = spawn((), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def take(self, run_directory: Path) -> subprocess.Popen[bytes] | None:
        """Gives the run to the supervisor that is ready, and returns it; None when there is none."""
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is None:
            return None
        try:
            _send(ready, os.fsencode(run_directory) + b"\0")
        except BrokenPipeError:  # somebody has killed it
            ready.wait()
            return None
        return ready

    def dismiss(self) -> None:
        """Ends the one that is ready, and keeps none any more."""
        with self._lock:
            self._wanted = False
            ready, self._ready = self._ready, None
        if ready is not None:
            _send(ready, b"")
            ready.wait()


def spawn(arguments: tuple[str | Path, ...], *, stdin: int, stderr: int) -> subprocess.Popen[bytes]:
    """Starts a supervisor, in a session of its own, so that what a terminal sends to the server does not reach it."""
    # No preexec_fn, which costs 22 ms when the server is large.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", PROGRAM, *arguments],
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def _send(supervisor: subprocess.Popen[bytes], data: bytes) -> None:
    pipe: IO[bytes] | None = supervisor.stdin
    if pipe is not None:
        with pipe:
            pipe.write(data)
