"""How much of the disk the files below a directory take."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress

#: Entries that are looked at in a row, and how many times as long as that took is rested then. Python gives its lock to
#: nobody else meanwhile, and the disk is there for agents.
_STEP = 64
_REST = 4

#: Bytes of a block, wherever st_blocks is told of.
BLOCK = 512


class Stopped(Exception):
    """The walk was told to stop."""


def size(top: str, stopped: Callable[[], bool], *, without: str = "") -> int:
    """Returns the bytes that a directory takes with all that is in it; 0 if it is not there. Raises Stopped.

    A file with holes counts with what it has, and one with several links once. What is mounted inside is not looked
    into, and nor are directories called `without` right in it, and what may not be read.
    """
    walk = _Walk(stopped)
    try:
        status = os.stat(top)  # noqa: PTH116 - as everything here
    except FileNotFoundError:
        return 0
    walk.count(status)
    waiting = [name for name in walk.directories(top, status.st_dev) if os.path.basename(name) != without]  # noqa: PTH119
    while waiting:
        waiting += walk.directories(waiting.pop(), status.st_dev)
    return walk.blocks * BLOCK


class _Walk:
    """Counts, and rests from time to time."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.blocks = 0
        self._stopped = stopped
        self._linked: set[tuple[int, int]] = set()
        self._seen = 0
        self._begun = time.monotonic()

    def count(self, status: os.stat_result) -> None:
        """Counts a file or a directory, unless it was counted by another name."""
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity in self._linked:
                return
            self._linked.add(identity)
        self.blocks += status.st_blocks

    def directories(self, path: str, device: int) -> list[str]:
        """Counts the entries of a directory, and returns the directories among them that are on the same disk."""
        found: list[str] = []
        # It may have been removed, or be shut, or lie too deep.
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                self._pause()
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != device:
                        continue
                    self.count(status)
                    if entry.is_dir(follow_symlinks=False):
                        found.append(entry.path)
        return found

    def _pause(self) -> None:
        self._seen += 1
        if self._seen % _STEP == 0:
            if self._stopped():
                raise Stopped
            time.sleep(_REST * (time.monotonic() - self._begun))
            self._begun = time.monotonic()
