"""Copies and moves data directories, and looks at what must not change with that."""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest

from support import repositories
from support.server import RunningServer

#: What every server here is started with.
FLAGS = ("--slots", "4", "--retry-pause", "0.1")

#: Where the database has paths that may lie in the data directory.
_PATHS = (("run", "log_path"), ("worktree", "path"), ("worktree", "setup_log_path"), ("task", "directory"))


def copy(server: RunningServer, *flags: str) -> RunningServer:
    """Returns a server, not started yet, over a copy of another's data directory as it is at this moment."""
    other = RunningServer(*FLAGS, *flags)
    copy_tree(server.data, other.data)
    return other


def copy_tree(source: Path, target: Path) -> None:
    """Copies as a person does; what comes and goes meanwhile is missed."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=False, stderr=subprocess.DEVNULL)
    assert (target / "taskgrove.db").exists()


def move(server: RunningServer, to: Path) -> None:
    """Renames the data directory of a server that does not run; the server is over the new place from then on."""
    server.data.rename(to)
    server.data = to


def make_pipe(path: Path) -> None:
    """Makes a pipe that nobody writes to."""
    os.mkfifo(path)


def mounting(directory: Path, place: Path) -> tuple[str, ...]:
    """Returns what starts a command that sees a directory at another place as well; skips the test where none can."""
    script = f'mount --bind {shlex.quote(str(directory))} {shlex.quote(str(place))} && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("the kernel lets nobody mount something for himself")
    return command


def refs(repository: Path) -> dict[str, str]:
    """Returns all refs of a repository."""
    listed = repositories.git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in listed)


def registrations(repository: Path) -> dict[str, bytes]:
    """Returns what a repository keeps for its worktrees, by path; without what git notes of its own work."""
    root = repository / ".git" / "worktrees"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name in {"HEAD", "gitdir", "commondir", "locked", "ORIG_HEAD"}
    }


def files(directory: Path) -> dict[str, bytes]:
    """Returns the contents of all files of a directory, by path."""
    found: dict[str, bytes] = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(directory))] = path.read_bytes()
    return found


def make_absolute(data: Path, root: str) -> None:
    """Turns the database of a data directory into one of a version that kept absolute paths."""
    with contextlib.closing(sqlite3.connect(data / "taskgrove.db")) as raw, raw:
        for table, column in _PATHS:
            raw.execute(f"UPDATE {table} SET {column} = ? || '/' || {column} WHERE {column} IS NOT NULL", (root,))
        for name in ("path", "setup_log_path"):
            raw.execute(
                f"UPDATE event SET detail = json_set(detail, '$.worktree.{name}', ? || '/' || "
                f"json_extract(detail, '$.worktree.{name}')) WHERE kind = 'worktree_updated'",
                (root,),
            )
        raw.execute("DELETE FROM schema_migration WHERE name = '0013_relative_paths'")


def make_of_earlier_version(data: Path, root: Path) -> None:
    """Turns a data directory into one of a version that kept no identity, and paths as they were at `root`."""
    make_absolute(data, str(root))
    (data / "identity.json").unlink()
