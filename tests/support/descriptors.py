"""What a process has open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def of(pid: int) -> list[str]:
    """Returns what the descriptors of a process lead to, sorted."""
    found: list[str] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # The one that lists them is gone by now.
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return sorted(found)


def own() -> list[str]:
    """Returns those of the process itself."""
    return of(os.getpid())


def files_noticed(pid: int) -> int:
    """Returns how many files inotify watches for a process."""
    found = 0
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found += info.read_text().count("inotify wd:")
    return found
