"""The supervisor's program, and how the server starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("supervisor.py")


def spawn(arguments: tuple[str | Path, ...], *, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Starts the program, in a session of its own, so that what a terminal sends to the server does not reach it.

    It stands at the root, so as not to keep a disk busy that somebody wants to unmount.
    """
    # No preexec_fn, which costs 22 ms when the server is large.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", PROGRAM, *arguments],
        cwd=os.sep,
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
