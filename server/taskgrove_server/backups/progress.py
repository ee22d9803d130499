"""What a person sees who waits: one line on a terminal, which changes. Others get nothing."""

from __future__ import annotations

import os
import sys
import time

#: Seconds between two changes of the line.
_INTERVAL = 0.2

_CLEAR = "\r\x1b[K"


class Progress:
    """The line. Says nothing where standard error is no terminal, and never fails."""

    def __init__(self) -> None:
        self._doing = ""
        self._shown = False
        self._next = 0.0
        self._files = 0
        self._size = 0
        self._enabled = sys.stderr.isatty()

    def say(self, doing: str) -> None:
        """Tells what is done now."""
        self._doing = doing
        self._next = 0.0
        self._show("")

    def copied(self, size: int, *, files: int = 0) -> None:
        """Tells of so many more bytes, and files."""
        self._files += files
        self._size += size
        self._show(f": {self._files:,} files, {shown(self._size)}")

    def part(self, done: int, whole: int) -> None:
        """Tells how much of it is done."""
        self._show(f": {100 * done // max(1, whole)} %")

    def end(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._write(_CLEAR)

    def _show(self, rest: str) -> None:
        if self._enabled and time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self._shown = True
            self._write(f"{_CLEAR}{self._doing}{rest}")

    def _write(self, text: str) -> None:
        try:
            os.write(2, text.encode(errors="replace"))
        except OSError:
            self._enabled = False


def shown(size: float) -> str:
    """Returns a size in bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
