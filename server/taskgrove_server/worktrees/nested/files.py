"""The files of a repository that an agent made inside a worktree, which become files of the task's commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import guarded
from taskgrove_server.worktrees.nested.repositories import Nested


def of(git: commands.Git, nested: Nested, found: Sequence[Nested]) -> list[str]:
    """Returns the files of a repository that its own rules do not ignore, relative to it.

    Those of repositories inside it are among them, but for worktrees. Raises GitFailed.
    """
    options = ("--cached", "--others", "--exclude-standard", "-z")
    answer = guarded.run(git, nested, "ls-files", *options)
    children = [child for child in found if child.inside is nested]
    own = [name for name in dict.fromkeys(answer.split("\0")) if name and not _is_in(name, children)]
    names = [name for name in own if _is_file(Path(nested.directory, name))]
    for child in children:
        if child.kind is not NestedKind.WORKTREE:
            names += [f"{child.name}/{name}" for name in of(git, child, found)]
    return names


def _is_in(name: str, children: Sequence[Nested]) -> bool:
    return any(name.rstrip("/") == child.name or name.startswith(f"{child.name}/") for child in children)


def _is_file(path: Path) -> bool:
    """Tells whether something is there and is no directory, as of a submodule without a checkout."""
    return path.is_symlink() or path.is_file()
