"""A server that a test starts by itself, as a shell, an IDE or a careless script would."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from typing import Any

from support import tasks_gates
from support.server import PATIENCE, RunningServer

#: Becomes another program. Whoever runs the tests may have them ignore signals, which what they start would inherit.
#: Not done by a `preexec_fn`: gRPC, of which the tests have threads, may end what is forked with one.
UNIGNORING = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@contextlib.contextmanager
def started(
    place: RunningServer, *flags: str, through: Sequence[str] = (), **popen: Any
) -> Generator[subprocess.Popen[bytes]]:
    """Starts a server over the data directory of one that does not run, and waits until it listens.

    `through` is a program that runs it, if not the test itself; `popen` says what its standard error is, and more.
    """
    options: Any = {"stdin": subprocess.DEVNULL, **popen}
    process: subprocess.Popen[Any] = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-c",
            UNIGNORING,
            *through,
            sys.executable,
            "-m",
            "taskgrove_server",
            "--data-dir",
            str(place.data),
            *flags,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(place.home), "LANG": "C.UTF-8"},
        **options,
    )
    place.target = f"unix:{place.data}/taskgroved.sock"
    try:
        tasks_gates.until(lambda: process.poll() is not None or listens(place), "a server that listens")
        assert process.poll() is None, f"the server ended with {process.returncode}"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(PATIENCE)


def listens(place: RunningServer) -> bool:
    """Tells whether something listens at a server's socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(place.data / "taskgroved.sock"))
        except OSError:
            return False
        return True
