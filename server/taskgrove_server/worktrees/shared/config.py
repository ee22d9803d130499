"""The config of a repository, which all its checkouts share. Its values may be secrets: nobody is told them.

Only what makes git fail, or decides how git reads the repository at all, is put back: whoever changed the rest may
have meant it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees import commands

#: The shared file, and the one of the main checkout alone, which git reads when extensions.worktreeConfig says so.
CONFIG = "config"
WORKTREE_CONFIG = "config.worktree"
FILES = (CONFIG, WORKTREE_CONFIG)

#: Without a sound one, git takes the directory for no repository. What it leads to is no affair of this module.
HEAD = "HEAD"

_SOUND_HEAD = re.compile(rb"ref:\s*refs/\S.*|[0-9a-f]{40}(?:[0-9a-f]{24})?", re.DOTALL)

#: Settings that decide how git reads the repository, beside extensions.*.
_VITAL = frozenset({"core.bare", "core.worktree", "core.repositoryformatversion"})

#: Extensions that ordinary commands begin to use by themselves: git-sparse-checkout(1), a fetch with a filter, and
#: git-worktree(1) with relative paths.
_BEGUN = frozenset({"extensions.worktreeconfig", "extensions.partialclone", "extensions.relativeworktrees"})

#: Seconds after which a lock of git's on the file is taken for a killed command's: git writes it in one go.
_STALE = 2.0

#: The settings of one file: their values, by their names as git has them. None is a name without a value.
Values = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Content:
    """What one file holds; None for data when there is none that can be read."""

    data: bytes | None = field(default=None, repr=False)
    mode: int = 0o644

    @property
    def is_blank(self) -> bool:
        """Tells whether there is nothing in it."""
        return not (self.data or b"").strip()


def read(common_dir: str) -> dict[str, Content]:
    """Returns what the files and HEAD hold, by their names; raises OSError while the machine is short of open files."""
    return {name: _content(Path(common_dir, name)) for name in (*FILES, HEAD)}


def is_sound(git: commands.Git, name: str, content: Content) -> bool:
    """Tells whether git can read a file, whatever it says; raises GitFailed while git cannot be started."""
    if name == HEAD:
        return _SOUND_HEAD.fullmatch((content.data or b"").strip()) is not None
    try:
        parse(git, content)
    except commands.GitFailed as failure:
        if shortages.of_words(str(failure)):
            raise
        return False
    return True


def parse(git: commands.Git, content: Content) -> Values:
    """Returns the settings of a file, without those of files that it includes; raises GitFailed for nonsense."""
    found: dict[str, list[str | None]] = {}
    if not content.is_blank:
        # Not from within the repository, which git may not be able to read at the moment.
        for entry in git(os.sep, "config", "--file", "-", "--list", "-z", stdin=content.data).split("\0")[:-1]:
            name, line, value = entry.partition("\n")
            found.setdefault(name, []).append(value if line else None)
    return found


def changed(before: Values, now: Values) -> list[str]:
    """Returns the names of settings that differ, sorted."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def broken(before: Mapping[str, Values], now: Mapping[str, Values]) -> list[str]:
    """Returns the names of settings by which git reads the repository otherwise than before; by the files' names."""
    known, found = _effective(before), _effective(now)
    begun = {name for name in _BEGUN if name in found and name not in known}
    different: list[str] = []
    for name in changed(known, found):
        if name in begun or not (name in _VITAL or name.startswith("extensions.")):
            continue
        if name == "core.repositoryformatversion" and begun and found.get(name) == ["1"]:
            continue  # Git has raised it, together with the extension.
        different.append(name)
    return different


def put_back(git: commands.Git, path: Path, name: str, values: Sequence[str | None]) -> None:
    """Gives a setting of a file the values that it had, none for one that was not set; raises GitFailed."""
    _wait_for_lock(path)
    try:
        git(os.sep, "config", "--file", str(path), "--unset-all", name)
    except commands.GitFailed as failure:
        if failure.status != 5:  # There is none.
            raise
    for value in values:
        git(os.sep, "config", "--file", str(path), "--add", name, "true" if value is None else value)


def replace(path: Path, content: Content) -> None:
    """Writes a whole file as git does it, under its lock and in one step; raises OSError."""
    path = Path(os.path.realpath(path))
    _wait_for_lock(path)
    lock = path.with_name(f"{path.name}.lock")
    try:
        with open(lock, "xb", opener=_private) as file:
            file.write(content.data or b"")
        lock.chmod(content.mode)
        lock.replace(path)
    except BaseException:
        lock.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait_for_lock(path: Path) -> None:
    lock = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + _STALE
    while lock.exists():
        if time.monotonic() > deadline:
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.02)


def _effective(files: Mapping[str, Values]) -> Values:
    """Returns what holds for the main checkout."""
    shared = files.get(CONFIG, {})
    switch = [str(value).lower() for value in shared.get("extensions.worktreeconfig", ())]
    on = bool(switch) and switch[-1] in ("true", "yes", "on", "1", "none")
    return {**shared, **(files.get(WORKTREE_CONFIG, {}) if on else {})}


def _content(path: Path) -> Content:
    with shortages.suppressing_others():
        return Content(path.read_bytes(), path.stat().st_mode & 0o777)
    return Content()
