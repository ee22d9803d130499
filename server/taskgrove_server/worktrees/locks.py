"""One lock for each repository, which all changes of its worktrees and branches take.

Beside a prune without the lock, 2 of 100 adds fail.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands, git_dirs


class WorktreeFailed(Exception):
    """Something could not be done to a worktree, with git's own words; nothing of it is left behind."""


class RepositoryLocks:
    """The locks, by common git directory."""

    def __init__(self, git: commands.Git) -> None:
        self._git = git
        # A thread may take one that it has: what reads under the lock may have to repair.
        self._locks: dict[str, threading.RLock] = {}

    @contextmanager
    def exclusively(self, repository: str) -> Generator[str]:
        """Holds the lock of a repository and yields its common git directory; turns errors into WorktreeFailed."""
        try:
            common_dir = git_dirs.find(self._git, repository).common
        except commands.GitFailed as failure:
            raise WorktreeFailed(f"The repository {repository!r} cannot be used: {failure}") from failure
        with self.holding(common_dir):
            yield common_dir

    @contextmanager
    def holding(self, common_dir: str) -> Generator[None]:
        """As `exclusively`, where the common git directory is known already."""
        with self._locks.setdefault(common_dir, threading.RLock()):
            try:
                yield
            except (commands.GitFailed, errors.DirectoryRefused, OSError) as error:
                raise WorktreeFailed(str(error)) from error
