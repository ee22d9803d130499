"""Copies and moves data directories, and looks at what must not change with that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support import repositories
from support.server import RunningServer

#: What every server here is started with.
FLAGS = ("--slots", "4", "--retry-pause", "0.1")


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
