"""Puts into an index what belongs there of the repositories inside a checkout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import files, listing
from taskgrove_server.worktrees.nested.repositories import Nested

_LINK = "160000"


def place(
    git: commands.Git,
    directory: str,
    found: Sequence[Nested],
    children: Sequence[Nested],
    commit_of: Callable[[Nested], str | None],
    *,
    copied_files: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Puts in links to the commits of submodules, the files of repositories, and nothing of worktrees.

    `children` are those of the repositories `found` that are right inside the checkout; `commit_of` returns the
    commit to which the link to a submodule is to lead, None for one that has none. Raises GitFailed.
    """
    known = listing.read(git, directory, environment)
    links: list[str] = []
    wanted: list[str] = []
    unwanted: list[str] = []
    copied = set(copied_files)
    for child in children:
        there = known.below(child.name)
        match child.kind:
            case NestedKind.SUBMODULE:
                # Files there would be in the way of the link.
                unwanted += (name for name in there if name != child.name)
                if commit := commit_of(child):
                    links.append(f"{_LINK} {commit}\t{child.name}")
            case NestedKind.REPOSITORY:
                # A link has to go even where there is no file to take its place. Files that are gone count as well.
                unwanted += (name for name in there if name in known.links)
                kept = (name for name in there if name not in known.links)
                new = (f"{child.name}/{name}" for name in files.of(git, child, found))
                wanted += dict.fromkeys((*kept, *(name for name in new if name not in copied)))
            case NestedKind.WORKTREE:
                unwanted += there
    # By update-index, because `git add` makes a link of whatever has a .git.
    for options, names in (
        (("--force-remove", "-z", "--stdin"), unwanted),
        (("-z", "--index-info"), links),
        (("--add", "--remove", "--replace", "-z", "--stdin"), wanted),
    ):
        if names:
            git(directory, "update-index", *options, environment=environment, stdin=_joined(names))


def _joined(names: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)
