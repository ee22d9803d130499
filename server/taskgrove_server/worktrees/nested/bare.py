"""Finds the repositories without a checkout that go with a worktree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees.git_dirs import GitDirs
from taskgrove_server.worktrees.nested import walking
from taskgrove_server.worktrees.nested.repositories import Nested


def find(worktree: str, top: GitDirs, found: Sequence[Nested]) -> Iterator[Nested]:
    """Yields bare repositories, and those of submodules whose files are gone; `found` have files, and are left out.

    The latter lie in the worktree's own git directory, which goes with it.
    """
    known = {nested.dirs.common for nested in found}
    for place in _git_dirs(worktree):
        if place not in known:
            yield _bare(place, place.removeprefix(f"{worktree}/"), NestedKind.REPOSITORY)
    modules = f"{top.own}/modules"
    for place in _git_dirs(modules):
        if place not in known:
            yield _bare(place, place.removeprefix(f"{modules}/").replace("/modules/", "/"), NestedKind.SUBMODULE)


def _bare(place: str, path: str, kind: NestedKind) -> Nested:
    dirs = GitDirs(place, place)
    return Nested(path, place, kind, dirs, None, False, False, False, True, "", is_bare=True)


def _git_dirs(top: str) -> Iterator[str]:
    for directory, names, files in walking.walk(top):
        if "HEAD" in files and "objects" in names and "refs" in names and directory != top:
            yield str(Path(directory).resolve())
            # Submodules of submodules have theirs in those of the latter.
            names[:] = [name for name in names if name == "modules"]
