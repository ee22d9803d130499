"""Looks for the data directory that another one was copied from, by what of a copy still leads there.

the path that was noted at the last start    still has the same id
supervisors, by their process ids            work in another place: the original was moved away
worktrees                                    are registered as those of a place that has the same id
the database of an earlier version           has absolute paths, and the run of one of them is known there
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from taskgrove_server.processes import files
from taskgrove_server.worktrees import git_dirs

T = TypeVar("T")

NOTE = "identity.json"
DATABASE = "taskgrove.db"
RUNS = "runs"
WORKTREES = "worktrees"

#: What no two data directories may have in common.
PARTS = (DATABASE, RUNS, WORKTREES, "logs", "sandboxes")

#: Seconds for which another place is looked at: it may be on a file server that is gone, which is why the directory
#: was restored elsewhere.
_PATIENCE = 5.0


def find(root: Path, identity: str, path: str) -> str | None:
    """Returns the path of the original that a directory with this id, last at `path`, is a copy of.

    None when there is none any more. A place that does not answer in time, or cannot be looked at, may have it.
    """
    if path != str(root) and _in_time(lambda: is_at(path, identity), otherwise=True):
        return path
    return of_supervisors(root) or _in_time(lambda: _of_worktrees(root, identity), otherwise=None)


def find_unnoted(root: Path) -> tuple[str | None, str | None]:
    """Returns the original of a directory that has no id yet, and else the place that an earlier version had it at."""
    original = of_supervisors(root)
    earlier = None if original else _in_time(lambda: _of_rows(root / DATABASE), otherwise=None)
    if earlier is None or earlier.path == str(root):
        return original, None
    return (earlier.path, None) if earlier.is_there else (None, earlier.path)


def is_at(path: str, identity: str) -> bool:
    """Tells whether the data directory with an id is at a path, or may be: what is there cannot be read, maybe."""
    place = Path(path)
    try:
        noted: Any = json.loads((place / NOTE).read_bytes())
        return bool(noted["id"] == identity)
    except FileNotFoundError:
        return (place / DATABASE).exists()
    except NotADirectoryError:
        return False
    except (ValueError, TypeError, LookupError, OSError):
        return True


def is_unstarted_copy(path: str, identity: str) -> bool:
    """Tells whether a copy of a data directory is at a path that was never started, as its note is of another place."""
    place = Path(path)
    try:
        noted: Any = json.loads((place / NOTE).read_bytes())
        state = place.stat()
        return bool(noted["id"] == identity) and (noted["device"], noted["inode"]) != (state.st_dev, state.st_ino)
    except (OSError, ValueError, TypeError, LookupError):
        return False


def of_supervisors(root: Path) -> str | None:
    """Returns the place at which a supervisor works of whose run there is a directory here, if it is another.

    A supervisor's current directory is that of its run, wherever it is moved.
    """
    with suppress(OSError):
        for run in (root / RUNS).iterdir():
            with suppress(OSError, ValueError, IndexError):
                pid = int((run / files.LOCK).read_bytes().split()[0])
                there = Path(os.readlink(f"/proc/{pid}/cwd"))  # noqa: PTH115 - of another process
                if there.name == run.name and not there.samefile(run):
                    return str(there.parent.parent)
    return None


def _of_worktrees(root: Path, identity: str) -> str | None:
    """Returns the place that a repository knows a worktree at which is here too, if that place has the same id."""
    looked_at = {str(root)}
    with suppress(OSError):
        for worktree in (root / WORKTREES).iterdir():
            own = git_dirs.leads_to(str(worktree))
            named = git_dirs.pointer(f"{own}/gitdir") if own else None
            if own is None or named is None:
                continue
            there = Path(os.path.normpath(Path(own, named))).parent
            place = str(there.parent.parent)
            if place in looked_at or there.parent.name != WORKTREES:
                continue
            looked_at.add(place)
            if is_at(place, identity) and not root.samefile(place):
                return place
    return None


class _Earlier:
    """Where a database of an earlier version says that it was, and whether what it tells of is known there."""

    def __init__(self, path: str, *, is_there: bool) -> None:
        self.path = path
        self.is_there = is_there


def _of_rows(database: Path) -> _Earlier | None:
    row = None
    with suppress(sqlite3.Error, OSError):
        row = _asked(database, "SELECT id, log_path FROM run ORDER BY sequence DESC LIMIT 1")
    if row is None or not row[1].startswith(os.sep):
        return None
    place = Path(os.path.realpath(Path(row[1]).parent.parent))
    try:
        known = _asked(place / DATABASE, "SELECT id FROM run WHERE id = ?", row[0]) is not None
    except (sqlite3.Error, OSError):
        known = True
    return _Earlier(str(place), is_there=known)


def _asked(database: Path, question: str, *values: str) -> tuple[str, ...] | None:
    """Returns a row of a database that is another server's, maybe; None when there is none."""
    if not database.exists():
        return None
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
        row: tuple[str, ...] | None = opened.execute(question, values).fetchone()
        return row


def _in_time(look: Callable[[], T], *, otherwise: T) -> T:
    answers: list[T] = []
    # A thread that nothing waits for at the end: a file server may never answer it.
    thread = threading.Thread(target=lambda: answers.append(look()), name="original", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answers[0] if answers else otherwise
