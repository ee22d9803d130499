"""Runs one command to its end: what it prints goes to a file, and nothing of it is left behind."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.processes import sweeping

#: Bytes of the output that are kept.
LONGEST_LOG = 16 << 20

#: Seconds between two looks at whether the command has ended or is to end.
_INTERVAL = 0.05

_BLOCK = 65536


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended: its exit code as a shell shows it, None when it was stopped, for its time or otherwise."""

    code: int | None
    timed_out: bool = False


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    mark: str,
    directory: str,
    log_path: str,
    timeout: float,
    told_to_stop: Callable[[], bool],
) -> CommandEnd:
    """Runs a command for at most `timeout` seconds, with standard output and error on a file that begins empty.

    `mark` is a variable, written "NAME=value", by which everything that the command starts is found in the end.
    Raises OSError when the command cannot be started.
    """
    name, _, value = mark.partition("=")
    deadline = time.monotonic() + timeout
    with open(log_path, "wb", opener=_private, buffering=0) as log:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env={**environment, name: value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            stopped, timed_out = _follow(process, log.fileno(), deadline, told_to_stop)
            # Also what a command has left in the background: no run is to meet it.
            sweeping.sweep_marked(mark)
            if stopped:
                process.kill()
            process.wait()
    if stopped:
        return CommandEnd(None, timed_out)
    return CommandEnd(process.returncode if process.returncode >= 0 else 128 - process.returncode)


def _follow(
    process: subprocess.Popen[bytes], log: int, deadline: float, told_to_stop: Callable[[], bool]
) -> tuple[bool, bool]:
    """Copies the output until the command ends; returns whether it is to be stopped, and whether for the time."""
    output = process.stdout
    poll = select.poll()
    if output is not None:
        poll.register(output, select.POLLIN)
    while True:
        if output is not None and poll.poll(_INTERVAL * 1000):
            block = os.read(output.fileno(), _BLOCK)
            if (room := LONGEST_LOG - os.lseek(log, 0, os.SEEK_CUR)) > 0:
                os.write(log, block[:room])
            if not block:
                output = None
        elif process.poll() is not None:
            # What it has left in the background may hold its output open, and is none of anybody's business.
            return False, False
        elif output is None:
            time.sleep(_INTERVAL)
        if time.monotonic() >= deadline:
            return True, True
        if told_to_stop():
            return True, False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def tail(log_path: str, size: int) -> str:
    """Returns the end of a log, decoded with replacement; empty when there is none."""
    path = Path(log_path)
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - size))
        return log.read().decode(errors="replace").strip()
