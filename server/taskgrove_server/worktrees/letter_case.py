"""Whether a disk tells names apart that differ by case alone.

A repository says so by core.ignoreCase, as it was found when the repository was made: one that was copied from another
machine, or lies on another disk than the worktrees, says what is not so. Git then leaves new files out whose names
differ by case alone from those of others, or records them in another's directory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

#: Has git tell names apart as the disk does.
TOLD_APART = "core.ignoreCase=false"


def is_told_apart(directory: Path) -> bool:
    """Tells whether names that differ by case alone are different ones in a directory, whether or not it is there.

    It is tried out, with a directory that is removed again. False where that cannot be.
    """
    place = next(one for one in (directory, *directory.parents) if one.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".taskgrove-case-", dir=place) as made:
            Path(made, "name").touch()
            return not Path(made, "NAME").exists()
    except OSError:
        return False
