"""Whether a disk tells names apart that differ by case alone.

A repository says so by core.ignoreCase, as it was found when the repository was made: one that was copied from another
machine, or lies on another disk than the worktrees, says what is not so. Git then leaves new files out whose names
differ by case alone from those of others, or records them in another's directory.
"""

from __future__ import annotations

from pathlib import Path

#: Has git tell names apart as the disk does.
TOLD_APART = "core.ignoreCase=false"


def is_told_apart(directory: Path) -> bool:
    """Tells whether names that differ by case alone are different ones, by the name of a directory.

    One that is not there yet goes by those above it. False where that cannot be seen.
    """
    for place in (directory, *directory.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        try:
            if other != place and place.is_dir():
                return not (other.exists() and other.samefile(place))
        except OSError:
            return False
    return False
