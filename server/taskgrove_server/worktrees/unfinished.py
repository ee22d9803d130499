"""What a checkout stands in the middle of: a merge, a rebase and the like, and the branches that they hold.

Git keeps this beside HEAD, in files of the checkout's own git directory. While a branch is being rebased or bisected,
HEAD is detached, so that nothing shows the branch as checked out; git itself refuses to move it all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.domain.errors import Remedy
from taskgrove_server.worktrees import commands, git_dirs, ways_out

_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that was begun: its name, the git commands that end it, and the branches that it will move."""

    name: str
    #: Empty for what can only be aborted.
    finish: str
    abort: str
    branches: frozenset[str] = frozenset()

    @property
    def state(self) -> str:
        """What a checkout does in the middle of it, as the end of a sentence."""
        return f"stands in the middle of a {self.name}"

    def ways_on(self, checkout: str) -> list[Remedy]:
        """Returns what ends it."""
        ways = [("Finish it", self.finish), ("Or abort it", self.abort)]
        return [Remedy(what, f"cd {ways_out.word(checkout)} && {command}") for what, command in ways if command]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Conflicts in an index that are not resolved, with nothing else begun: a popped stash leaves some."""

    state: str = "has conflicts that are not resolved"

    def ways_on(self, checkout: str) -> list[Remedy]:
        """Returns what shows them."""
        return [
            Remedy("See which, resolve them, and stage them with git add", f"git -C {ways_out.word(checkout)} status")
        ]


@dataclass(frozen=True, slots=True)
class Hold:
    """A branch that an operation in some checkout holds. `checkout` is None where that is gone."""

    operation: Operation
    git_dir: str
    checkout: str | None


def operation(git_dir: str) -> Operation | None:
    """Returns what the checkout that a git directory belongs to stands in the middle of, None for nothing."""
    # A rebase that stops has a CHERRY_PICK_HEAD as well.
    return next(_operations(Path(git_dir)), None)


def in_worktree(git: commands.Git, path: str, *, has_conflicts: bool | None = None) -> Operation | Conflicts | None:
    """Returns what a task's worktree stands in the middle of; raises GitFailed.

    `has_conflicts` tells of its index, where that is known.
    """
    if begun := operation(git_dirs.find(git, path).own):
        return begun
    if has_conflicts is None:
        has_conflicts = bool(git(path, "ls-files", "--unmerged", "-z"))
    return Conflicts() if has_conflicts else None


def holds(common_dir: str, branch: str) -> Hold | None:
    """Returns what holds a branch in some checkout of a repository, None when nothing does."""
    linked = Path(common_dir, "worktrees")
    for git_dir in (Path(common_dir), *(sorted(linked.iterdir()) if linked.is_dir() else ())):
        for found in _operations(git_dir):
            if branch in found.branches:
                return Hold(found, str(git_dir), _checkout(git_dir))
    return None


def _operations(git_dir: Path) -> Iterator[Operation]:
    if (git_dir / "rebase-merge").is_dir():
        held = {
            _text(git_dir / "rebase-merge/head-name"),
            *commands.rows(_text(git_dir / "rebase-merge/update-refs"))[::3],
        }
        yield Operation("rebase", "git rebase --continue", "git rebase --abort", _names(held))
    elif (git_dir / "rebase-apply").is_dir():
        held = {_text(git_dir / "rebase-apply/head-name")}
        name = "am" if (git_dir / "rebase-apply/applying").exists() else "rebase"
        yield Operation(name, f"git {name} --continue", f"git {name} --abort", _names(held))
    for head, name in (("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REVERT_HEAD", "revert")):
        if os.path.lexists(git_dir / head):
            yield Operation(name, f"git {name} --continue", f"git {name} --abort")
    if todo := _text(git_dir / "sequencer/todo"):
        # Between two of several commits.
        name = "revert" if todo.startswith("revert") else "cherry-pick"
        yield Operation(name, f"git {name} --continue", f"git {name} --abort")
    if (git_dir / "BISECT_LOG").exists():
        yield Operation("bisect", "", "git bisect reset", frozenset({_text(git_dir / "BISECT_START")}))


def _names(refs: set[str]) -> frozenset[str]:
    return frozenset(ref.removeprefix(_HEADS) for ref in refs if ref.startswith(_HEADS))


def _checkout(git_dir: Path) -> str | None:
    """Returns the directory of a linked worktree, or of the main one where git keeps its directory in it."""
    recorded = _text(git_dir / "gitdir")
    place = Path(recorded).parent if recorded else git_dir.parent if git_dir.name == ".git" else None
    return str(place) if place is not None and place.is_dir() else None


def _text(path: Path) -> str:
    with shortages.suppressing_others():
        return os.fsdecode(path.read_bytes()).strip()
    return ""
