"""The hooks of a repository, and other files that change what git does in all its checkouts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees.shared import sentences

#: What else is looked at: what is ignored, attributes, where history ends, and where objects are borrowed from.
_SINGLE = ("info/exclude", "info/attributes", "info/grafts", "shallow", "objects/info/alternates")

#: Hooks beyond so many are not looked at.
_MOST = 1000


def read(common_dir: str) -> dict[str, str]:
    """Returns the modes and hashes of the files, by their names in the git directory.

    Raises OSError while the machine is short of open files.
    """
    found: dict[str, str] = {}
    for directory, _, names in os.walk(Path(common_dir, "hooks"), onerror=_raise_shortage):
        for name in sorted(names):
            # Examples that git itself puts there, and does not run.
            if not name.endswith(".sample") and len(found) < _MOST:
                path = Path(directory, name)
                found[str(path.relative_to(common_dir))] = _print_of(path)
    found |= {name: mark for name in _SINGLE if (mark := _print_of(Path(common_dir, name)))}
    return {name: mark for name, mark in found.items() if mark}


def told(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns what to tell of files that differ."""
    found: list[str] = []
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            what = "is new" if name not in before else "is gone" if name not in now else "was changed"
            kind, _, rest = name.partition("/")
            named = f"hook {sentences.quoted(rest)}" if kind == "hooks" else f"file {sentences.quoted(name)}"
            found.append(f"The {named} of the repository {what}.")
    return found


def _raise_shortage(error: OSError) -> None:
    with shortages.suppressing_others():
        raise error


def _print_of(path: Path) -> str:
    """Returns a file's mode and hash, for a link its target; empty when there is none that can be read."""
    with shortages.suppressing_others():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return f"link {path.readlink()}"
        if stat.S_ISREG(mode):
            return f"{mode & 0o777:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return ""
