"""What a repository leads to, and which of it nothing else has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.nested import guarded
from taskgrove_server.worktrees.nested.repositories import Nested

_COMMITS = "%(objectname) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname)"


@dataclass(frozen=True, slots=True)
class Tips:
    """The commits of a repository that no remote repository of it has."""

    #: Whether its HEAD leads to such a commit.
    has_head: bool
    #: The branches, tags, stashes and other refs that lead to such commits: names without "refs/", and objects.
    refs: Mapping[str, str]


def of(git: commands.Git, nested: Nested, head: str | None, linked: Iterable[str] = ()) -> Tips:
    """Returns what is a repository's own; raises GitFailed.

    `linked` are commits to which the repository around it leads, and perhaps no ref of its own.
    """
    if nested.is_shared:
        return Tips(_is_lone(git, nested, head), {})
    objects: dict[str, str] = {}
    commits: dict[str, str] = {}
    for line in commands.rows(guarded.run(git, nested, "for-each-ref", f"--format={_COMMITS}")):
        value, commit, ref = line.split(" ", 2)
        if not ref.startswith("refs/remotes/") and ref != "refs/stash":
            name = ref.removeprefix("refs/")
            objects[name], commits[name] = value, commit
    for number, commit in enumerate(_stashes(git, nested)):
        objects[f"stash/{number}"] = commits[f"stash/{number}"] = commit
    for commit in linked:
        objects[f"linked/{commit}"] = commits[f"linked/{commit}"] = commit
    wanted = {*commits.values(), *([head] if head else [])}
    own = _own(git, nested, wanted)
    return Tips(head in own, {name: value for name, value in objects.items() if commits[name] in own})


def _is_lone(git: commands.Git, nested: Nested, head: str | None) -> bool:
    """Tells whether no ref of the repository leads to the head of one of its worktrees."""
    if head is None:
        return False
    options = ("for-each-ref", "--count=1", f"--contains={head}", "refs/heads", "refs/tags", "refs/remotes")
    return not guarded.run(git, nested, *options)


def _stashes(git: commands.Git, nested: Nested) -> list[str]:
    if guarded.ask(git, nested, "show-ref", "--verify", "--quiet", "refs/stash") is None:
        return []
    return guarded.run(git, nested, "rev-list", "--walk-reflogs", "refs/stash", "--").split()


def _own(git: commands.Git, nested: Nested, commits: set[str]) -> set[str]:
    if not commits:
        return set()
    excluded = ["--remotes"]
    if nested.recorded and guarded.ask(git, nested, "cat-file", "-e", nested.recorded) is not None:
        excluded.append(nested.recorded)
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    # Tags of something else than a commit have no history to ask for.
    options = ("rev-list", "--ignore-missing", "--stdin", "--not", *excluded)
    return commits & set(guarded.run(git, nested, *options, stdin=stdin).split())


def lacks_history(nested: Nested) -> bool:
    """Tells whether a repository has not all of its history: a shallow or a partial clone."""
    common = Path(nested.dirs.common)
    return (common / "shallow").is_file() or any(common.glob("objects/pack/*.promisor"))
