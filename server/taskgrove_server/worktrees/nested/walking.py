"""Walks all directories of a worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields as os.walk does, but follows no links and no mounts, and does not enter what is called .git."""
    if not os.path.isdir(top):  # noqa: PTH112 - a path of os.walk
        return
    device = _device(top)
    for directory, names, files in os.walk(top):
        yield directory, names, files
        names[:] = [name for name in names if name != ".git" and _device(f"{directory}/{name}") == device]


def _device(directory: str) -> int | None:
    with suppress(OSError):
        return os.lstat(directory).st_dev
    return None
