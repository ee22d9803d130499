"""Finds the repositories inside a worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from taskgrove_server.domain import shortages
from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.git_dirs import GitDirs
from taskgrove_server.worktrees.nested import bare, guarded, listing, walking
from taskgrove_server.worktrees.nested.listing import Listing
from taskgrove_server.worktrees.nested.repositories import Nested


@dataclass(frozen=True, slots=True)
class Found:
    """What there is in a worktree: the repositories, each behind the one around it, and what its index hides."""

    repositories: Sequence[Nested] = ()
    #: See listing.Listing.
    flagged: Sequence[str] = ()


def find(git: commands.Git, worktree: str, base: str, *, thorough: bool = False) -> Sequence[Nested]:
    """Returns the repositories of `look`."""
    return look(git, worktree, base, thorough=thorough).repositories


def look(
    git: commands.Git, worktree: str, base: str, *, untracked: Sequence[str] | None = None, thorough: bool = False
) -> Found:
    """Returns what is inside a worktree; raises GitFailed.

    Without `thorough`, those that git knows of: not such that it ignores, but for the repository's own worktrees.
    `base` is the commit from which the task's work starts; `untracked` are the repositories right inside the worktree
    that its index does not know, where they are known.
    """
    top = located(worktree)
    if top is None:
        return Found()
    known = listing.read(git, worktree, known=untracked)
    elsewhere = [*_registered(top.common, worktree), *(_walked(worktree) if thorough else ())]
    found = list(_below(git, worktree, known, (top,), None, base, elsewhere))
    return Found([*found, *(bare.find(worktree, top, found) if thorough else ())], known.flagged)


def _below(
    git: commands.Git,
    directory: str,
    known: Listing,
    around: Sequence[GitDirs],
    inside: Nested | None,
    base: str,
    elsewhere: Sequence[str],
) -> Iterator[Nested]:
    """Yields what is inside one checkout; `around` has the git directories of it and of those around it."""
    found = {place: dirs for place in _places(directory, known, elsewhere) if (dirs := located(f"{directory}/{place}"))}
    if not found:
        return
    recorded = listing.links_of(git, directory, base, list(found))
    submodules = _submodules(git, directory)
    for place, dirs in found.items():
        is_shared = any(dirs.common == one.common for one in around)
        # A copy of a checkout, .git file and all, is none of its own.
        is_copy = any(dirs.own == one.own for one in around)
        if is_shared and not is_copy:
            kind = NestedKind.WORKTREE
        elif place in submodules or place in recorded:
            kind = NestedKind.SUBMODULE
        else:
            kind = NestedKind.REPOSITORY
        inner = None if is_copy else _listed(git, f"{directory}/{place}")
        nested = Nested(
            path=f"{inside.path}/{place}" if inside else place,
            directory=f"{directory}/{place}",
            kind=kind,
            dirs=dirs,
            inside=inside,
            is_shared=is_shared,
            is_linked=place in known.links,
            is_untracked=place in known.repositories,
            is_ignored=place not in known.repositories and not known.below(place),
            recorded=recorded.get(place, ""),
            flagged=inner.flagged if inner else (),
        )
        yield nested
        if inner:
            yield from _below(git, nested.directory, inner, (*around, dirs), nested, nested.recorded, elsewhere)


def _listed(git: commands.Git, directory: str) -> Listing | None:
    # Whoever works on it is told why git cannot.
    with suppress(commands.GitFailed):
        return listing.read(git, directory)
    return None


def _places(directory: str, known: Listing, elsewhere: Sequence[str]) -> list[str]:
    """Returns the outermost places in a checkout that have a .git, relative to it."""
    # Git takes a directory that has files in the index for an ordinary one, whatever else is in it.
    parents: set[str] = set()
    for name in known.tracked:
        parent = name.rpartition("/")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    start = f"{directory}/"
    named = (place.removeprefix(start) for place in elsewhere if place.startswith(start))
    marked = (place for place in (*known.links, *parents, *named) if os.path.lexists(f"{directory}/{place}/.git"))
    outermost: list[str] = []
    seen: set[str] = set()
    top = os.path.realpath(directory)
    for place in sorted({*known.repositories, *marked}, key=lambda path: path.count("/")):
        # Beyond a link it is somebody else's.
        if os.path.realpath(f"{directory}/{place}") == os.path.normpath(f"{top}/{place}") and not any(
            str(parent) in seen for parent in PurePath(place).parents
        ):
            seen.add(place)
            outermost.append(place)
    return sorted(outermost)


def _submodules(git: commands.Git, directory: str) -> set[str]:
    """Returns the paths that .gitmodules names."""
    if not Path(directory, ".gitmodules").is_file():
        return set()
    question = ("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    with suppress(commands.GitFailed):
        answer = guarded.ask(git, directory, *question) or ""
        return {entry.partition("\n")[2].rstrip("/") for entry in answer.split("\0") if entry}
    return set()


def located(directory: str) -> GitDirs | None:
    """Returns the git directories of a checkout, None for what git would not take for one."""
    marker = Path(directory, ".git")
    try:
        if marker.is_dir():
            own = marker.resolve()
        else:
            text = marker.read_bytes()
            if not text.startswith(b"gitdir: "):
                return None
            own = Path(directory, os.fsdecode(text[8:].rstrip(b"\r\n"))).resolve()
        common = own
        if (own / "commondir").is_file():
            common = Path(own, os.fsdecode((own / "commondir").read_bytes().strip())).resolve()
        if not (common / "objects").is_dir() or not (common / "refs").exists() or not _is_head(own / "HEAD"):
            return None
    except (OSError, ValueError):
        return None
    return GitDirs(str(own), str(common))


def _is_head(file: Path) -> bool:
    if file.is_symlink():
        return True
    text = file.read_bytes().strip()
    return text.startswith(b"ref:") or (len(text) >= 40 and all(byte in b"0123456789abcdef" for byte in text))


def _registered(common: str, worktree: str) -> Iterator[str]:
    """Yields the places below a worktree at which the repository has further worktrees.

    Read from where `git worktree list` has it, which would look at the heads of all others as well.
    """
    top = os.path.realpath(worktree)
    for entry in Path(common, "worktrees").glob("*/gitdir"):
        with shortages.suppressing_others(), suppress(ValueError):
            place = os.path.realpath(Path(entry.parent, os.fsdecode(entry.read_bytes().rstrip(b"\n"))).parent)
            if place.startswith(f"{top}/"):
                yield worktree + place.removeprefix(top)


def _walked(worktree: str) -> Iterator[str]:
    """Yields every directory below a worktree that has a .git, ignored ones too."""
    return (directory for directory, _, names in walking.walk(worktree) if directory != worktree and ".git" in names)
