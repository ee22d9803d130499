"""A repository inside a worktree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees.git_dirs import GitDirs


@dataclass(frozen=True, slots=True)
class Nested:
    """A repository with a checkout inside a worktree, or inside another such repository."""

    #: Relative to the worktree.
    path: str
    directory: str
    kind: NestedKind
    dirs: GitDirs
    #: The repository around it, None if that is the worktree's own.
    inside: Nested | None
    #: Its objects and branches are those of a repository around it.
    is_shared: bool
    #: The repository around it has a link to it in its index.
    is_linked: bool
    #: Git shows it as untracked, so that the index has nothing of it and it is not ignored.
    is_untracked: bool
    #: Git does not show it, nor has the index anything of it.
    is_ignored: bool
    #: The commit to which the task's base links at this place; empty if it does not.
    recorded: str
    #: It has no checkout; `directory` is then its git directory.
    is_bare: bool = False
    #: See listing.Listing.
    flagged: Sequence[str] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """Returns the environment in which git works on it, wherever its own config says that its files are."""
        return {"GIT_DIR": self.dirs.own, "GIT_WORK_TREE": self.directory}

    @property
    def stays_out(self) -> bool:
        """Tells whether nothing of it enters a commit of the task: it is ignored, or a worktree, or in such a one."""
        if self.is_ignored or self.kind is NestedKind.WORKTREE:
            return True
        return self.inside is not None and self.inside.stays_out

    @property
    def name(self) -> str:
        """Returns its path, relative to the repository around it."""
        return self.path.removeprefix(f"{self.inside.path}/") if self.inside else self.path
