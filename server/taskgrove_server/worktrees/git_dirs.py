"""Where git keeps what belongs to one worktree, and what its repository shares."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands

#: Bytes of the longest file that leads to another place.
_LONGEST = 1 << 16


_HEAD = re.compile(r"ref: refs/[^ ]+|[0-9a-f]{40}|[0-9a-f]{64}")

#: What HEAD says where git keeps it elsewhere.
_ELSEWHERE = "/.invalid"


@dataclass(frozen=True, slots=True)
class GitDirs:
    """The git directory of a checkout alone, and the one that it has in common with its repository's others."""

    own: str
    common: str

    @property
    def linked(self) -> bool:
        """Tells whether the checkout is a linked worktree and not a repository of its own."""
        return self.own != self.common


def of(git: commands.Git, path: str) -> GitDirs:
    """Returns the git directories of a checkout; raises GitFailed when there is none at this very path."""
    arguments = ("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
    own, common = commands.rows(git(path, *arguments))
    return GitDirs(own=str(Path(own).resolve()), common=str(Path(common).resolve()))


def read(path: str) -> GitDirs | None:
    """Returns the same as `of`, from the files alone; also of a git directory itself. None when there is none.

    A git process takes 3 ms; the files are those that gitrepository-layout(5) describes.
    """
    dot = Path(path, ".git")
    try:
        if dot.is_dir():
            own = dot.resolve()
        elif os.path.lexists(dot):
            named = leads_to(path)
            if named is None:
                return None
            own = Path(named).resolve()
        else:
            own = Path(path).resolve()
        shared = pointer(str(own / "commondir"))
        common = Path(own, shared).resolve() if shared else own
        whole = os.path.lexists(own / "HEAD") and (common / "objects").is_dir() and (common / "refs").is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and shortages.of_errno(error.errno):
            raise
        # A link that leads to itself, a directory that cannot be read, a name that cannot be one.
        return None
    return GitDirs(own=str(own), common=str(common)) if whole else None


def find(git: commands.Git, path: str) -> GitDirs:
    """Returns the git directories of a checkout: from its files, or as git tells where these do not; see `of`."""
    return read(path) or of(git, path)


def head(own: str) -> str | None:
    """Returns the ref that the HEAD of a git directory leads to, or the commit that it is at.

    None where the file does not tell: it is damaged, or the refs are kept in another format (reftable).
    """
    file = Path(own, "HEAD")
    try:
        # As with core.preferSymlinkRefs.
        target = f"ref: {file.readlink()}" if file.is_symlink() else pointer(str(file))
    except OSError:
        return None
    if target is None or _HEAD.fullmatch(target) is None or target.endswith(_ELSEWHERE):
        return None
    return target.removeprefix("ref: ")


def leads_to(path: str) -> str | None:
    """Returns the absolute path that the .git file of a checkout names, whether or not anything is there."""
    named = pointer(str(Path(path, ".git")))
    if named is None or not named.startswith("gitdir: "):
        return None
    return os.path.normpath(Path(path, named.removeprefix("gitdir: ")))


def pointer(file: str) -> str | None:
    """Returns what a file that leads to another place holds, None when it is missing or no such file."""
    try:
        # Before it is opened: to open a pipe may wait for ever.
        if not Path(file).is_file():
            return None
        with Path(file).open("rb") as opened:
            content = opened.read(_LONGEST)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and shortages.of_errno(error.errno):
            raise
        return None
    text = os.fsdecode(content).rstrip("\r\n")
    return text if text and "\0" not in text and "\n" not in text else None


def main_checkout(common: str) -> str:
    """Returns the main checkout of a repository, or its git directory where that lies elsewhere or is bare."""
    place = Path(common)
    return str(place.parent) if place.name == ".git" else common


def remove_stale_locks(dirs: GitDirs, worktree: Worktree) -> None:
    """Removes lock files that a killed git has left, where nobody but the task's own runs could have made them.

    No process of a run outlives it, so between runs nobody holds them.
    """
    for lock in (
        Path(dirs.own, "index.lock"),
        Path(dirs.own, "HEAD.lock"),
        Path(dirs.own, "reftable", "tables.list.lock"),
        Path(dirs.common, "refs", "heads", f"{worktree.branch}.lock"),
    ):
        # With reftable, refs/heads is a file.
        with suppress(NotADirectoryError):
            lock.unlink(missing_ok=True)
