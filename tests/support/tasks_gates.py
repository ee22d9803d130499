"""Doors at which agents, and programs that git starts, wait until a test lets them through."""

from __future__ import annotations

import fcntl
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

#: Seconds within which everything that a test waits for has to happen.
PATIENCE = 30.0

T = TypeVar("T")


class Gate:
    """A file that is locked while the gate is shut. Those that wait hold no descriptor of the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrivals = path.with_name(f"{path.name}.arrivals")
        self._arrivals.touch()
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    @property
    def pass_through(self) -> str:
        """The shell command that tells of its arrival and waits until the gate is open."""
        return f"echo arrived >> {shlex.quote(str(self._arrivals))}; flock --shared {shlex.quote(str(self.path))} true"

    def wait_for_arrivals(self, count: int = 1) -> None:
        """Waits until so many have arrived."""
        until(self.arrived(count), f"{count} arrivals at {self.path.name}")

    def arrived(self, count: int) -> Callable[[], bool]:
        """Returns what tells whether so many have arrived."""
        return lambda: self._arrivals.read_bytes().count(b"\n") >= count

    def open(self) -> None:
        """Lets all through, from now on."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()


def until(look: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
    """Returns what `look` returns as soon as that is true; fails the test when it takes too long."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.005)
    return found
