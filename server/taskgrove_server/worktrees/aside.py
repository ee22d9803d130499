"""Where directories go before they are removed: out of everybody's sight in one step, or not at all.

    <parent>/<name>  ->  <parent>/.removed/<name>-<n>

Beside the directory, because a rename stays on one file system.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from taskgrove_server.domain import errors

#: The name of the directory that holds what was set aside.
PLACE = ".removed"


def put(directory: str) -> str:
    """Moves a directory, or whatever is at this path, aside and returns its new path.

    Raises FileNotFoundError when there is nothing, and RemovalRefused when it cannot be moved; then nothing of it
    has changed.
    """
    parent, name = os.path.split(directory)
    mode = os.lstat(directory).st_mode
    try:
        Path(parent, PLACE).mkdir(mode=0o700, exist_ok=True)
        target = next(free for free in _numbered(parent, name) if not os.path.lexists(free))
        try:
            Path(directory).rename(target)
        except PermissionError:
            # To move a directory takes the right to write to it, for its "..".
            if not stat.S_ISDIR(mode) or mode & stat.S_IRWXU == stat.S_IRWXU:
                raise
            _move_shut(directory, target, mode)
    except OSError as error:
        raise errors.RemovalRefused(directory, _advice(error, parent)) from error
    return target


def of(directory: str) -> list[str]:
    """Returns the paths of what was set aside from this path and is still there, the newest last."""
    parent, name = os.path.split(directory)
    return [place for place in all_in(parent) if _origin(place) == name]


def all_in(parent: str) -> list[str]:
    """Returns the paths of all that was set aside from a directory and is still there, the oldest first of each name.

    There is none if the directory cannot be read.
    """
    try:
        found = [entry.path for entry in os.scandir(f"{parent}/{PLACE}")]
    except OSError:
        return []
    return sorted(found, key=lambda path: (_origin(path), len(path), path))


def _move_shut(directory: str, target: str, mode: int) -> None:
    place = Path(directory)
    place.chmod(mode | stat.S_IRWXU)
    try:
        place.rename(target)
    except OSError:
        place.chmod(stat.S_IMODE(mode))
        raise


def _numbered(parent: str, name: str) -> Iterator[str]:
    return (f"{parent}/{PLACE}/{name}-{number}" for number in itertools.count(1))


def _origin(place: str) -> str:
    name, _, number = os.path.basename(place).rpartition("-")  # noqa: PTH119 - a name, not a path
    return name if number.isdecimal() else ""


def _advice(error: OSError, parent: str) -> str:
    match error.errno:
        case errno.EBUSY:
            return "something is mounted on it. Unmount it (umount), and call again."
        case errno.EACCES | errno.EPERM:
            return (
                f"the server has no right to move it. Give it, and {parent!r}, to the server's user (chown), take "
                "protection off (chattr -i), and call again."
            )
        case errno.EROFS:
            return "its file system is read-only. Make it writable (mount -o remount,rw), and call again."
        case _:
            return f"{error.strerror or error}. Mend that, or remove it by hand, and call again."
