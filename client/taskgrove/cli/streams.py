"""The standard streams as a shell may hand them over: closed, full, broken, or of an encoding that lacks characters."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, cast


class Unwritten(Exception):
    """Standard output takes nothing more; the message says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        #: Whether it is a pipe whose reader has left, as `head` does.
        self.is_left = error.errno == errno.EPIPE


def prepare() -> None:
    """Makes the streams of this process safe to use; to be called once, before anything is read or written.

    What cannot be written to standard output raises Unwritten, wherever it is noticed. What cannot be written to
    standard error is dropped: there is nobody to tell. Characters that the encoding lacks are replaced.
    """
    # Opened the wrong way round where they are closed: their use fails, and no file or socket gets their number.
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        _occupy(number, mode)
    given = [cast("io.TextIOWrapper | None", stream) for stream in (sys.stdin, sys.stdout, sys.stderr)]
    stdin, stdout, stderr = given
    sys.stdin = stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stdout = _text(_Output(1, "wb", closefd=False), stdout, errors="replace")
    sys.stderr = _text(_Complaints(2, "wb", closefd=False), stderr, errors="backslashreplace")


def give_up() -> None:
    """Drops what standard output has not taken, which the interpreter would try to write once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Output(io.FileIO):
    def write(self, data: Any, /) -> int:
        """Writes some of the bytes; waits where a stream that does not block, as of a parent's, is full."""
        while True:
            try:
                written = cast("int | None", super().write(data))
            except OSError as error:
                raise Unwritten(error) from error
            if written is not None:
                return written
            select.select([], [self], [])


class _Complaints(io.FileIO):
    def write(self, data: Any, /) -> int:
        """Writes the bytes, or drops them."""
        try:
            written = cast("int | None", super().write(data))
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


def _occupy(number: int, mode: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, mode)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def _text(raw: io.FileIO, given: io.TextIOWrapper | None, *, errors: str) -> io.TextIOWrapper:
    encoding = given.encoding if given else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty() or raw.fileno() == 2)
