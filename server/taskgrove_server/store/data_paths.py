"""Paths in the data directory, which are stored relative to it: so they are right wherever it is moved.

Everything outside of the database knows absolute paths only.
"""

from __future__ import annotations

import os
from pathlib import Path

import peewee

#: The data directory without symbolic links, and as it was named.
_roots: tuple[str, ...] = ()


def bind(root: Path) -> None:
    """Makes paths relative to `root` from now on. A process works with one data directory at a time."""
    global _roots  # noqa: PLW0603 - as the tables are bound to one database
    _roots = (str(root.resolve()), str(root.absolute()))


def stored(path: str) -> str:
    """Returns a path as it is stored: relative if it lies in the data directory."""
    for root in _roots:
        if path.startswith(f"{root.rstrip(os.sep)}{os.sep}"):
            return path.removeprefix(root).lstrip(os.sep)
    return path


def absolute(path: str) -> str:
    """Returns the absolute path of one that was stored."""
    return path if not path or path.startswith(os.sep) or not _roots else os.path.join(_roots[0], path)  # noqa: PTH118


class DataPathField(peewee.TextField):
    """A column for a path that may lie in the data directory: code reads and writes absolute paths."""

    def db_value(self, value: str | None) -> str | None:
        """Returns what is stored of a value."""
        return None if value is None else stored(value)

    def python_value(self, value: str | None) -> str | None:
        """Returns the value of what is stored."""
        return None if value is None else absolute(value)
