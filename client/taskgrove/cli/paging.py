"""Shows long output through a pager, as git does: only on a terminal, and never for a program that reads it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from typing import IO, cast

import click

from taskgrove.cli import exits

#: Quits when all fits on the screen, shows colours, and leaves the text where it stands.
_DEFAULT = "less -FRX"

#: What a shell answers when it does not find a program.
_NOT_FOUND = 127

no_pager = click.option("--no-pager", is_flag=True, help="Write to the terminal itself, without a pager.")


def on_terminal() -> bool:
    """Tells whether standard output is a terminal."""
    return sys.stdout.isatty()


def wants_colour(environment: Mapping[str, str] = os.environ) -> bool:
    """Tells whether a terminal's user wants colours: see https://no-color.org."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def program(environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the pager as a shell line; None when there is none, or it is `cat`."""
    for name in ("TASKGROVE_PAGER", "PAGER"):
        if (chosen := environment.get(name)) is not None:
            return None if chosen.strip() in {"", "cat"} else chosen
    return _DEFAULT if shutil.which("less") else None


@contextlib.contextmanager
def paged(*, enabled: bool = True) -> Generator[IO[bytes]]:
    """Yields the stream to write to: a pager on a terminal, else standard output.

    Whoever leaves the pager early ends the output, and that is no error.
    """
    pager = program() if enabled and on_terminal() else None
    if pager is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    process = subprocess.Popen(
        ["/bin/sh", "-c", pager],
        stdin=subprocess.PIPE,
        # A pager of the user's own choice may be a plain `less`: git gives it the same.
        env={"LESS": "FRX", "LV": "-c", **os.environ},
    )
    stdin = cast("IO[bytes]", process.stdin)
    try:
        with contextlib.suppress(BrokenPipeError):
            yield stdin
    finally:
        _leave(process, stdin)
    if process.returncode == _NOT_FOUND:
        raise exits.Refused(f"The pager {pager!r} was not found: set TASKGROVE_PAGER to another, or give --no-pager.")


def _leave(process: subprocess.Popen[bytes], stdin: IO[bytes]) -> None:
    """Waits until the person leaves the pager; Ctrl-C there belongs to the pager."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
