"""Files that git does not look at because their entries in the index say so: assume-unchanged, skip-worktree.

An agent, or a command that sets its worktree up, marks what it wants to change beside git, such as the settings of a
machine. Its changes are work all the same, which no status shows and no commit takes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from taskgrove_server.worktrees import commands, git_dirs
from taskgrove_server.worktrees.nested import guarded
from taskgrove_server.worktrees.nested.repositories import Nested

#: Tags of `git ls-files -v` for entries that skip the worktree. Those taken for unchanged have theirs in lower case.
_SKIPPED = "Ss"


def is_flagged(directory: str, tag: str, path: str) -> bool:
    """Tells whether git passes over a file that a commit has to look at; `tag` is that of `git ls-files -v`.

    What skips the worktree counts where it is there: the rest of a sparse checkout is meant to be missing.
    """
    if tag in _SKIPPED:
        return os.path.lexists(f"{directory}/{path}")
    return tag.islower()


def clear(
    git: commands.Git, place: str | Nested, entries: Sequence[str], environment: Mapping[str, str] | None = None
) -> None:
    """Puts entries into an index as they were, without their flags; raises GitFailed."""
    if entries:
        stdin = b"".join(os.fsencode(entry) + b"\0" for entry in entries)
        guarded.run(git, place, "update-index", "-z", "--index-info", environment=environment, stdin=stdin)


@contextmanager
def cleared(git: commands.Git, place: str | Nested, entries: Sequence[str]) -> Generator[Mapping[str, str]]:
    """Yields the environment in which git works on a copy of an index where entries have no flags; raises GitFailed."""
    dirs = place.dirs if isinstance(place, Nested) else git_dirs.read(place)
    if not entries or dirs is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        index = Path(scratch, "index")
        with suppress(FileNotFoundError):
            shutil.copy2(Path(dirs.own, "index"), index)
        environment = {"GIT_INDEX_FILE": str(index)}
        clear(git, place, entries, environment)
        yield environment
