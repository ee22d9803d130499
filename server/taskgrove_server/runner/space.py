"""The room on the disk of the data directory."""

from __future__ import annotations

import os
from pathlib import Path

#: Files that there must be room for, unless the disk has few in all: a checkout, a log, a directory of a run.
_FILES = 500

#: With less than this, in bytes and in files, a disk counts as full when it is asked why something failed.
_NO_ROOM = 1 << 20
_NO_FILES = 16


class FreeSpace:
    """Tells whether there is the room that a run needs at least, in bytes: for its worktree, its log and its commit.

    Without such a guard a disk that is full for a minute fails every task that waits. With `least` of 0 there is none.
    """

    def __init__(self, directory: Path, least: int) -> None:
        self.directory = directory
        self.least = least

    def short(self) -> bool:
        """Tells whether there is less room than that, or for hardly any file; raises OSError."""
        return self.least > 0 and _has_less(self.directory, self.least, _FILES)

    def may_be_short(self) -> bool:
        """As `short`; True when the disk cannot be asked."""
        try:
            return self.short()
        except OSError:
            return True


def is_full(directory: str) -> bool:
    """Tells whether the disk of a directory has hardly any room, for bytes or files; False if it cannot be asked."""
    try:
        return _has_less(directory, _NO_ROOM, _NO_FILES)
    except OSError:
        return False


def _has_less(directory: str | Path, least: int, files: int) -> bool:
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize < least:
        return True
    # Some file systems make room for files as they need it, and say 0.
    return bool(disk.f_files) and disk.f_favail < min(files, disk.f_files // 10)
