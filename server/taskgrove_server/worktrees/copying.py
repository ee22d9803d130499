"""Copies files that git does not track from a checkout into a worktree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath


def copy_in(
    repository: str, worktree: str, patterns: Sequence[str], proceed: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Copies what the patterns match, links as links, and returns the files, relative to the worktree.

    Nothing that is there is replaced, and nothing is read from or written to a place outside of the two, whatever
    links lead there. `proceed` is called for each file, and raises what is to end the copying. Raises OSError.
    """
    copied: dict[str, None] = {}
    for pattern in patterns:
        for relative in _matches(repository, pattern, proceed):
            if relative not in copied and _copy(Path(repository, relative), Path(worktree, relative), worktree):
                copied[relative] = None
    return tuple(copied)


def _matches(repository: str, pattern: str, proceed: Callable[[], None]) -> Iterator[str]:
    """Yields the files that a pattern matches, or that lie below a directory that it matches."""
    top = os.path.realpath(repository)
    for match in Path(repository).glob(pattern):
        proceed()
        relative = match.relative_to(repository)
        if ".git" in relative.parts or not _inside(top, match.parent):
            continue
        if match.is_dir() and not match.is_symlink():
            for directory, names, files in os.walk(match):
                names[:] = [name for name in names if name != ".git"]
                links = [name for name in names if Path(directory, name).is_symlink()]
                for name in (*files, *links):
                    proceed()
                    yield str(Path(directory, name).relative_to(repository))
        else:
            yield str(relative)


def _copy(source: Path, target: Path, worktree: str) -> bool:
    if os.path.lexists(target) or not (source.is_symlink() or source.is_file()):
        return False
    top = os.path.realpath(worktree)
    # Before anything is made: a link that the repository tracks may lead out.
    if not _inside(top, target.parent):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    return True


def _inside(top: str, directory: Path) -> bool:
    return PurePath(os.path.realpath(directory)).is_relative_to(top)
