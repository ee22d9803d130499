"""Asks other programs short questions while a person waits, and not for ever."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

#: Seconds in which a program has to answer.
PATIENCE = 10.0

#: Bytes of an answer that are looked at. A program that prints more stands still, and is given up like one that hangs.
_LOOKED_AT = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program printed and said, and its exit status; bytes that are no UTF-8 as surrogates."""

    status: int
    output: str
    words: str


def ask(argv: Sequence[str | os.PathLike[str]], environment: Mapping[str, str] | None = None) -> Answer | None:
    """Returns what a program answers; None when it has not ended in time. Raises OSError when it cannot be started."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        # What it starts ends with it.
        start_new_session=True,
    ) as process:
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        # Not to the end of it, which a process that goes on in the background may hold open.
        return Answer(status, _there(process.stdout), _there(process.stderr))


def _there(pipe: IO[bytes] | None) -> str:
    if pipe is None:
        return ""
    os.set_blocking(pipe.fileno(), False)
    try:
        return os.fsdecode(os.read(pipe.fileno(), _LOOKED_AT))
    except BlockingIOError:
        return ""
