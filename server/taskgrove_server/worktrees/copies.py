"""Sets aside the worktrees that a data directory was copied with.

Their .git files lead to what a repository keeps for the original's worktrees: git that is called in a copy works on the
original's index and HEAD.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

#: What the .git file of a copied worktree is called.
POINTER = ".git-of-the-original"


def set_aside(root: Path) -> str | None:
    """Moves what is in the directory of worktrees to a directory beside it, where nothing leads to a repository.

    Returns that directory, None when there was nothing. Raises OSError.
    """
    root = root.resolve()
    copied = [Path(entry.path) for entry in os.scandir(root)]
    if not copied:
        return None
    for place in copied:
        dot = place / ".git"
        # Nor does git work in one that its agent has shut.
        with suppress(PermissionError):
            if not place.is_symlink() and (dot.is_file() or dot.is_symlink()):
                dot.replace(place / POINTER)
    names = (root.with_name(f"copied-worktrees-{number}") for number in itertools.count(1))
    target = next(name for name in names if not os.path.lexists(name))
    root.rename(target)
    root.mkdir(mode=0o700)
    return str(target)
