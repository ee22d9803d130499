"""Where git keeps what belongs to one worktree, and what its repository shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands


@dataclass(frozen=True, slots=True)
class GitDirs:
    """The git directory of a checkout alone, and the one that it has in common with its repository's others."""

    own: str
    common: str

    @property
    def linked(self) -> bool:
        """Tells whether the checkout is a linked worktree and not a repository of its own."""
        return self.own != self.common


def of(git: commands.Git, path: str) -> GitDirs:
    """Returns the git directories of a checkout; raises GitFailed when there is none at this very path."""
    arguments = ("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir")
    own, common = git(path, *arguments).splitlines()
    return GitDirs(own=str(Path(own).resolve()), common=str(Path(common).resolve()))


def common_of_worktree(git: commands.Git, path: str) -> str:
    """Returns the common git directory of a linked worktree, without a command; raises GitFailed as `of` does."""
    try:
        # As gitrepository-layout(5) has them.
        own = Path(path, Path(path, ".git").read_text().removeprefix("gitdir:").strip())
        return str(Path(own, Path(own, "commondir").read_text().strip()).resolve())
    except (OSError, ValueError):
        return of(git, path).common


def remove_stale_locks(dirs: GitDirs, worktree: Worktree) -> None:
    """Removes lock files that a killed git has left, where nobody but the task's own runs could have made them.

    No process of a run outlives it, so between runs nobody holds them.
    """
    for lock in (
        Path(dirs.own, "index.lock"),
        Path(dirs.own, "HEAD.lock"),
        Path(dirs.common, "refs", "heads", f"{worktree.branch}.lock"),
    ):
        lock.unlink(missing_ok=True)
