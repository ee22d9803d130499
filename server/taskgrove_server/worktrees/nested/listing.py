"""What git knows of the files of a checkout, asked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import guarded

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

    def below(self, path: str) -> list[str]:
        """Returns the files and links of the index that lie below a path, or are at it."""
        return [name for name in (*self.links, *self.tracked) if name == path or name.startswith(f"{path}/")]


def read(
    git: commands.Git,
    directory: str,
    environment: Mapping[str, str] | None = None,
    repositories: Sequence[str] | None = None,
) -> Listing:
    """Returns what is in a checkout; raises GitFailed.

    `repositories` are those that the index does not know, where they are known: to find them, git looks at each file.
    """
    # With tags, or the name of a new file might be taken for an entry of the index.
    options = ("-t", "--stage", *(("--others", "--exclude-standard") if repositories is None else ()), "-z")
    # Each has a tag, a mode, an id, a stage, and behind a tab its path. There may be very many.
    entries = guarded.run(git, directory, "ls-files", *options, environment=environment).removesuffix("\0").split("\0")
    if repositories is None:
        repositories = [entry[2:-1] for entry in entries if entry[:2] == "? " and entry[-1] == "/"]
    links = (entry.split("\t", 1) for entry in entries if entry[2:8] == _LINK and entry[:2] != "? ")
    tracked = (entry.partition("\t")[2] for entry in entries if entry and entry[2:8] != _LINK and entry[:2] != "? ")
    return Listing({path: head.split(" ")[2] for head, path in links}, list(dict.fromkeys(tracked)), list(repositories))


def links_of(git: commands.Git, directory: str, commit: str, paths: Sequence[str]) -> dict[str, str]:
    """Returns the links that a commit or a tree has at some paths; none of what the repository has not."""
    if not commit or not paths:
        return {}
    try:
        options = ("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", *paths)
        answer = guarded.run(git, directory, *options)
    except commands.GitFailed:
        return {}
    links: dict[str, str] = {}
    for entry in filter(None, answer.split("\0")):
        head, path = entry.split("\t", 1)
        mode, _, target = head.split(" ")
        if mode == _LINK:
            links[path] = target
    return links
