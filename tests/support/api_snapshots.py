"""All that a refused call might have changed: the database, the data directory, repositories."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path

from support import repositories

Snapshot = dict[str, object]


@contextlib.contextmanager
def unchanged(data: Path, *checkouts: Path) -> Generator[None, None, None]:
    """Fails the test when what is done inside changes anything in a data directory or a repository."""
    before = take(data, *checkouts)
    yield
    assert take(data, *checkouts) == before


def take(data: Path, *checkouts: Path) -> Snapshot:
    """Returns every row of the database, and what lies in the data directory and the repositories."""
    kept = {
        directory: sorted(path.name for path in (data / directory).iterdir())
        for directory in ("logs", "runs", "sandboxes", "worktrees")
    }
    return {"tables": tables(data), **kept, **{str(path): _checkout(path) for path in checkouts}}


def tables(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """Returns every row of every table."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/taskgrove.db?mode=ro", uri=True)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f'SELECT * FROM "{name}" ORDER BY rowid').fetchall() for name in names}


def _checkout(path: Path) -> object:
    files = sorted(str(file) for file in path.rglob("*"))
    if not (path / ".git").exists():
        return files
    status = repositories.git(path, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored")
    references = repositories.git(path, "for-each-ref", "--format=%(refname) %(objectname) %(symref)")
    return files, status, references, repositories.worktree_paths(path)
