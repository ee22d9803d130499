"""The branches of a repository, read from the files in which git keeps them.

A git process takes 3 ms, and more while many tasks start. What is read is certain, or None: then git is to be asked.
See gitrepository-layout(5) and git-pack-refs(1).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees import git_dirs
from taskgrove_server.worktrees.git_dirs import GitDirs

#: Bytes of the largest table of packed refs that is read whole. Git finds its way in a larger one faster.
_LARGEST = 1 << 20

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_HEADS = "refs/heads/"


def start(dirs: GitDirs, new_branch: str) -> str | None:
    """Returns the commit that HEAD leads to, if there surely is no branch of a name yet.

    None where that is not certain: HEAD leads to nothing yet, to no branch, or by way of another ref; the refs are kept
    in another format; there is something by the branch's name; or a file is not as git writes it. Whether the commit is
    there is not looked at. Raises OSError while the machine is short of something.
    """
    try:
        if _kept_elsewhere(dirs.common):
            return None
        head = git_dirs.head(dirs.own)
        if head is None or ".." in head or not (_COMMIT.fullmatch(head) or head.startswith(_HEADS)):
            return None
        # Before the table, into which git writes a ref before it removes the file: one of both has it.
        loose = _loose(dirs.common, head) if head.startswith(_HEADS) else head
        if os.path.lexists(Path(dirs.common, _HEADS + new_branch)):
            return None
        packed = _packed(dirs.common)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and shortages.of_errno(error.errno):
            raise
        return None
    if packed is None or _find(packed, _HEADS + new_branch) is not None:
        return None
    commit = _find(packed, head) if loose is None else loose
    return commit if commit and _COMMIT.fullmatch(commit) and commit.strip("0") else None


def _kept_elsewhere(common: str) -> bool:
    """Tells whether the refs may be kept in another format, or at another place: see extensions.refStorage."""
    # Of included files, git takes no extension.
    return b"refstorage" in Path(common, "config").read_bytes().lower()


def _loose(common: str, ref: str) -> str | None:
    """Returns what the file of a ref holds; None when there is none, an empty text when it is none of git's."""
    file = Path(common, ref)
    if not os.path.lexists(file):
        return None
    # A link stands for a ref that leads to another.
    return "" if file.is_symlink() else git_dirs.pointer(str(file)) or ""


def _packed(common: str) -> bytes | None:
    """Returns the table of packed refs; None for one that is too large, or that ends within a line."""
    try:
        with Path(common, "packed-refs").open("rb") as file:
            table = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return b""
    return table if len(table) <= _LARGEST and table.endswith(b"\n") else None


def _find(table: bytes, ref: str) -> str | None:
    """Returns what a table of packed refs has for a ref."""
    end = table.find(b" " + os.fsencode(ref) + b"\n")
    return None if end < 0 else os.fsdecode(table[table.rfind(b"\n", 0, end) + 1 : end])
