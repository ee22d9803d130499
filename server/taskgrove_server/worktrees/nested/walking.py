"""Walks all directories of a worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from taskgrove_server.domain import shortages


def walk(top: str) -> Iterator[tuple[str, list[str], set[str]]]:
    """Yields each directory, the top first, with the names of those in it that are entered next, and of all in it.

    Whoever is told may take some of the former out. Links, mounts and what is called .git are not entered. What cannot
    be read is passed over; raises OSError while the machine is short of open files.
    """
    device = _device(top)
    # Not by os.walk, which recurses: an agent's directories may be deeper than Python allows.
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        entered: list[str] = []
        names: set[str] = set()
        with shortages.suppressing_others(), os.scandir(directory) as entries:
            for entry in entries:
                names.add(entry.name)
                if entry.name != ".git" and entry.is_dir(follow_symlinks=False) and _device(entry.path) == device:
                    entered.append(entry.name)
        yield directory, entered, names
        waiting.extend(f"{directory}/{name}" for name in entered)


def _device(directory: str) -> int | None:
    with suppress(OSError):
        return os.lstat(directory).st_dev
    return None
