"""Directories that git cannot read, and passes over with no more than a warning: their files would be in no commit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.worktrees import commands

#: Asks for new files alone: git says of the others by itself when it cannot read them, and fails.
_NEW_FILES = ("ls-files", "--others", "--exclude-standard", "-z")

#: Bytes of a warning from which on it is of a path that is too long. Git cuts warnings at 4096 bytes, and with them
#: the reason at their end.
_LONG = 3900


#: What to say of what git can never read.
TOO_LONG = (
    "git cannot save files in it whose paths are longer than 4096 bytes. Remove those directories, or have them "
    "ignored (.gitignore) when they are worth nothing, and call again."
)


def open_up(git: commands.Git, path: str) -> bool:
    """Makes readable what an agent has shut in its worktree, where git would have to read it.

    Tells whether git can read all of it now, but for what belongs to another user, which cannot be removed either: it
    can never read files at paths of more than 4096 bytes. Raises GitFailed.
    """
    if not git.warnings(path, *_NEW_FILES):
        return True
    open_all(path)
    return all(len(line.encode()) <= _LONG for line in commands.rows(git.warnings(path, *_NEW_FILES)))


def open_all(path: str) -> None:
    """Makes readable what an agent has shut in its worktree, wherever it is."""
    for directory in _shut(path):
        with suppress(OSError):
            directory.chmod(stat.S_IRWXU)


def _shut(top: str) -> Iterator[Path]:
    """Yields the directories that cannot be read, and then what is in them if they can by then."""
    waiting = [Path(top)]
    while waiting:
        directory = waiting.pop()
        if not os.access(directory, os.R_OK | os.X_OK):
            yield directory
        with shortages.suppressing_others(), os.scandir(directory) as entries:
            waiting.extend(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
