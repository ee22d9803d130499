"""Paths in the data directory, which are stored relative to it: so they are right wherever it is moved.

Everything outside of the database knows absolute paths only. A part of the directory may be a link, as to a larger
disk.
"""

from __future__ import annotations

import os
from pathlib import Path

#: The parts of a data directory in which stored paths lie.
_PARTS = ("logs", "worktrees", "sandboxes")

#: Where each is: without symbolic links, and as it was named.
_places: dict[str, tuple[str, ...]] = {}


def bind(root: Path) -> None:
    """Makes paths relative to `root` from now on. A process works with one data directory at a time."""
    for part in _PARTS:
        place = root.absolute() / part
        _places[part] = (str(place.resolve()), str(place))


def stored(path: str) -> str:
    """Returns a path as it is stored: relative if it lies in the data directory."""
    for part, places in _places.items():
        for place in places:
            if path.startswith(f"{place}{os.sep}"):
                return f"{part}{path.removeprefix(place)}"
    return path


def absolute(path: str) -> str:
    """Returns the absolute path of one that was stored."""
    part, separator, rest = path.partition(os.sep)
    return f"{_places[part][0]}{separator}{rest}" if part in _places else path
