"""Files of a checkout that give way to a landing and lose nothing by it: git has their content, or writes the same.

Git refuses to move a checkout over files that it takes for changed or does not track, whatever they hold. So they are
renamed into the checkout's git directory for that moment, and back if the move fails. What a killed server has left
there is put back by the next one.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from taskgrove_server.domain import errors

_NAME = "taskgrove-giving-way"
_LIST = "files.json"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file from one that was saved over it: its inode, size and time of modification in nanoseconds."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, file: str | Path) -> Self:
        """Returns the stamp of a file, itself if it is a link; raises OSError."""
        found = os.lstat(file)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class File:
    """A file, relative to its checkout, with the stamp that it had before its content was looked at."""

    name: str
    stamp: Stamp


@contextmanager
def out_of_the_way(checkout: str, git_dir: str, files: Sequence[File]) -> Generator[None]:
    """Renames files out of the way; when what is done inside fails, they come back.

    Raises CheckoutDirty for one that somebody has saved meanwhile, and OSError; then all are where they were.
    """
    if not files:
        yield
        return
    aside = Path(git_dir, _NAME)
    put_back(checkout, git_dir)
    if aside.exists():
        raise errors.CheckoutDirty(checkout, f"files that gave way to an earlier landing are still in {str(aside)!r}")
    aside.mkdir()
    try:
        _note(aside, files)
        for number, file in enumerate(files):
            kept = aside / str(number)
            Path(checkout, file.name).rename(kept)
            if Stamp.of(kept) != file.stamp:
                _return(kept, Path(checkout, file.name))
                raise errors.CheckoutDirty(checkout, f"{file.name!r} in it is being edited at this moment: call again")
        yield
    except BaseException:
        put_back(checkout, git_dir)
        raise
    # The landing has the same in their places, or has done away with them.
    shutil.rmtree(aside, ignore_errors=True)


def put_back(checkout: str, git_dir: str) -> None:
    """Puts back what was left aside, but for files in whose places there are others by now; raises OSError.

    What cannot be put back stays aside.
    """
    aside = Path(git_dir, _NAME)
    if not aside.is_dir():
        return
    names: list[str] = []
    # Missing or cut off by a loss of power: no file had been renamed by then.
    with suppress(FileNotFoundError, ValueError):
        names = json.loads((aside / _LIST).read_text(encoding="utf-8"))
    for number, name in enumerate(names):
        kept, place = aside / str(number), Path(checkout, name)
        # Not through a link, which may lead anywhere by now.
        if os.path.lexists(kept) and _is_inside(checkout, place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(kept, place)
            kept.unlink()
    if not any(os.path.lexists(aside / str(number)) for number in range(len(names))):
        shutil.rmtree(aside, ignore_errors=True)


def _note(aside: Path, files: Sequence[File]) -> None:
    """Writes the names to disk, before the first file is renamed."""
    with (aside / _LIST).open("w", encoding="utf-8") as names:
        json.dump([file.name for file in files], names)
        names.flush()
        os.fsync(names.fileno())


def _is_inside(checkout: str, directory: Path) -> bool:
    """Tells whether a directory, or where it would be made, is in a checkout and reached without links."""
    place = directory
    while not os.path.lexists(place):
        place = place.parent
    return place.is_dir() and os.path.realpath(place) == os.path.normpath(
        Path(os.path.realpath(checkout), place.relative_to(checkout))
    )


def _return(kept: Path, place: Path) -> None:
    """Puts back a file that is a person's own: beside its place, where another has been saved there since."""
    beside = (place.with_name(f"{place.name}.{number}") for number in itertools.count(1))
    for free in itertools.chain([place], beside):
        if _link(kept, free):
            kept.unlink()
            return


def _link(kept: Path, place: Path) -> bool:
    """Makes a file appear at a place, and tells whether that was free. A rename would replace what is there."""
    try:
        os.link(kept, place, follow_symlinks=False)
    except FileExistsError:
        return False
    return True
