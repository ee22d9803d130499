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
    # Each has a tag, a mode, an id, a stage, and behind a tab its path; there may be very many.
    entries = guarded.run(git, directory, "ls-files", *options, environment=environment).removesuffix("\0").split("\0")
    new = [entry[2:] for entry in entries if entry[:2] == "? "] if known is None else []
    links = (entry.partition("\t") for entry in entries if entry[2:8] == _LINK and entry[:2] != "? ")
    tracked = (entry.partition("\t")[2] for entry in entries if entry and entry[2:8] != _LINK and entry[:2] != "? ")
    tagged = (entry.partition("\t") for entry in entries if entry and entry[0] not in "H?")
    return Listing(
        links={path: head.split(" ")[2] for head, _, path in links},
        tracked=list(dict.fromkeys(tracked)),
        repositories=[*(known or ()), *(name[:-1] for name in new if name.endswith("/"))],
        flagged=[
            f"{head[2:]}\t{path}"
            for head, _, path in tagged
            if head.endswith(" 0") and flagged.is_flagged(directory, head[0], path)
        ],
    )


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
