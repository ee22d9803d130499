"""The refs of a repository, read from the files in which git keeps them.

A git process takes 3 ms, and more while many tasks start. What is read is certain, or None: then git is to be asked.
See gitrepository-layout(5) and git-pack-refs(1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees import git_dirs
from taskgrove_server.worktrees.git_dirs import GitDirs

#: Bytes of the largest table of packed refs that is read whole. Git finds its way in a larger one faster.
_LARGEST = 1 << 20

#: The same where all of it has to be told, and the most files of refs that are read for that.
_LARGEST_TOLD = 1 << 17
_MOST_FILES = 100

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_HEADS = "refs/heads/"

#: Names that git takes for sure; see git-check-ref-format(1).
_PART = r"(?![^/]*[.]lock(?:/|$))\w[\w@+#=,%-]*(?:[.][\w@+#=,%-]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*", re.ASCII)

#: More bytes than the file of a ref has that leads to a commit.
_LINE = 66


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
        if head is None or ".." in head or not (_ID.fullmatch(head) or head.startswith(_HEADS)):
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
    return commit if _is_id(commit) else None


def listing(common: str, kinds: Sequence[str]) -> str | None:
    """Returns what `git for-each-ref --format="%(HEAD)%(objectname) %(refname)"` prints of some kinds of refs.

    A kind is a directory that ends in a slash, or one ref. None where that is not certain, as if there are many. Raises
    as `start` does.
    """
    try:
        head = git_dirs.head(common)
        if git_dirs.read(common) is None or head is None or _kept_elsewhere(common):
            return None
        loose: dict[str, str] = {}
        for ref in _loose_of(common, kinds):
            value = _loose(common, ref)
            # One that was packed meanwhile is in the table.
            if value is not None:
                loose[ref] = value
            if len(loose) > _MOST_FILES:
                return None
        table = _packed(common)
        if table is None or len(table) > _LARGEST_TOLD:
            return None
        refs = _rows(table, kinds) | loose
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and shortages.of_errno(error.errno):
            raise
        return None
    if not all(_is_id(value) and _NAME.fullmatch(ref) for ref, value in refs.items()):
        return None
    return "\n".join(f"{'*' if ref == head else ' '}{value} {ref}" for ref, value in sorted(refs.items()))


def _loose_of(common: str, kinds: Sequence[str]) -> Iterator[str]:
    """Yields the refs of some kinds that have files."""
    for kind in kinds:
        if not kind.endswith("/"):
            yield kind
            continue
        try:
            entries = list(os.scandir(f"{common}/{kind}"))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _loose_of(common, (f"{kind}{entry.name}/",))
            else:
                yield f"{kind}{entry.name}"


def _rows(table: bytes, kinds: Sequence[str]) -> dict[str, str]:
    """Returns the ids that a table of packed refs has for those of some kinds; raises ValueError for no such table."""
    found: dict[str, str] = {}
    for row in os.fsdecode(table).split("\n")[:-1]:
        value, _, ref = row.partition(" ")
        if _is_id(value):
            found[ref] = value
        elif not (row.startswith("#") or (row.startswith("^") and _is_id(row[1:]))):
            raise ValueError(f"No row of a table of refs: {row!r}")
    return {ref: value for ref, value in found.items() if any(_is_of(ref, kind) for kind in kinds)}


def _is_of(ref: str, kind: str) -> bool:
    return ref.startswith(kind) if kind.endswith("/") else ref == kind


def _is_id(value: str | None) -> bool:
    return value is not None and _ID.fullmatch(value) is not None and value.strip("0") != ""


def _kept_elsewhere(common: str) -> bool:
    """Tells whether the refs may be kept in another format, or at another place: see extensions.refStorage."""
    # Of included files, git takes no extension.
    return b"refstorage" in Path(common, "config").read_bytes().lower()


def _loose(common: str, ref: str) -> str | None:
    """Returns what the file of a ref holds; None when there is none. Raises OSError and ValueError for no such file."""
    try:
        # A link stands for a ref that leads to another, and to open a pipe may wait for ever.
        file = os.open(f"{common}/{ref}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, _LINE).decode("ascii").removesuffix("\n")
    finally:
        os.close(file)


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
