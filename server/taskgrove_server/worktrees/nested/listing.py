"""What git knows of the files of a checkout, asked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import flagged, guarded
from taskgrove_server.worktrees.nested.repositories import Nested

_LINK = "160000"


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths relative to the checkout."""

    #: The commits that links to repositories have in the index.
    links: Mapping[str, str]
    #: The files of the index that are no links.
    tracked: Sequence[str]
    #: Repositories that the index does not know, nor is ignored.
    repositories: Sequence[str]
    #: Entries of the index that keep git from looking at the file, as `git update-index --index-info` takes them.
    flagged: Sequence[str] = ()

    def below(self, path: str) -> list[str]:
        """Returns the files and links of the index that lie below a path, or are at it."""
        return [name for name in (*self.links, *self.tracked) if name == path or name.startswith(f"{path}/")]


def read(
    git: commands.Git,
    directory: str,
    environment: Mapping[str, str] | None = None,
    *,
    known: Sequence[str] | None = None,
) -> Listing:
    """Returns what is in a checkout; raises GitFailed.

    `known` are the repositories that the index does not know, where they are known: to find them, git has to look into
    every directory.
    """
    # With tags, or the name of a new file might be taken for an entry of the index.
    options = ("-v", "--stage", "-z", *(("--others", "--exclude-standard") if known is None else ()))
    links: dict[str, str] = {}
    tracked: dict[str, None] = {}
    hidden: list[str] = []
    repositories = list(known or ())
    for entry in guarded.run(git, directory, "ls-files", *options, environment=environment).split("\0"):
        if entry.startswith("? "):
            if entry.endswith("/"):
                repositories.append(entry[2:-1])
        elif entry:
            head, _, path = entry.partition("\t")
            if entry.startswith(_LINK, 2):
                links[path] = head.split(" ")[2]
            else:
                tracked[path] = None
            if entry[0] != "H" and head.endswith(" 0") and flagged.is_flagged(directory, entry[0], path):
                hidden.append(entry[2:])
    return Listing(links, list(tracked), repositories, hidden)


def links_of(git: commands.Git, place: str | Nested, commit: str, paths: Sequence[str]) -> dict[str, str]:
    """Returns the links that a commit or a tree has at some paths; none of what the repository has not."""
    if not commit or not paths:
        return {}
    try:
        options = ("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", *paths)
        answer = guarded.run(git, place, *options)
    except commands.GitFailed:
        return {}
    links: dict[str, str] = {}
    for entry in filter(None, answer.split("\0")):
        head, path = entry.split("\t", 1)
        mode, _, target = head.split(" ")
        if mode == _LINK:
            links[path] = target
    return links
