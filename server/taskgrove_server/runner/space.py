"""The room on the disk of the data directory."""

from __future__ import annotations

import os
from pathlib import Path


class FreeSpace:
    """Tells whether there is the room that a run needs at least, in bytes: for its worktree, its log and its commit.

    Without such a guard a disk that is full for a minute fails every task that waits.
    """

    def __init__(self, directory: Path, least: int) -> None:
        self.directory = directory
        self.least = least

    def short(self) -> bool:
        """Tells whether there is less room than that."""
        disk = os.statvfs(self.directory)
        return disk.f_bavail * disk.f_frsize < self.least
