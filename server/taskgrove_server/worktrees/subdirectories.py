"""The directory of a repository in which an agent starts, where that is not its top.

It is named by a path relative to the top, "/" between its parts, none of which is empty, ".", ".." or ".git".
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import branches, commands
from taskgrove_server.worktrees.locks import WorktreeFailed

_LINK = "120000"
_SUBMODULE = "160000"

#: What passes by itself: see runner.insisting.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def check(git: commands.Git, repository: str, base_branch: str, subdirectory: str) -> None:
    """Raises an error unless a task that starts now from `base_branch`, or without one from HEAD, has the directory.

    Raises SubdirectoryNotFound, BranchNotFound, RepositoryEmpty or RepositoryFailed.
    """
    try:
        start = branches.find_base(git, repository, base_branch) if base_branch else "HEAD"
        if start is None:
            raise errors.BranchNotFound(base_branch)
        entry = _entry(git, repository, start, subdirectory)
    except commands.GitFailed as failure:
        raise errors.RepositoryFailed(str(failure)) from failure
    where = f"the branch {base_branch!r}" if base_branch else "the repository's HEAD"
    if not entry:
        why = f"{where} has no such directory. Commit something in it, or name another directory."
        raise errors.SubdirectoryNotFound(subdirectory, why)
    facts, _, name = entry.removesuffix("\0").partition("\t")
    mode, kind, _ = facts.split(" ")
    if kind != "tree":
        raise errors.SubdirectoryNotFound(subdirectory, f"in {where}, {name!r} is {_instead(mode)}")


def enter(worktree: str, subdirectory: str) -> None:
    """Makes sure that an agent can start in a directory of a worktree, which is made again if it has been removed.

    Raises WorktreeFailed when something else is there, or a link that leads out of the worktree; OSError while a
    disk is full.
    """
    top, place = os.path.realpath(worktree), os.path.realpath(Path(worktree, subdirectory))
    if not Path(place).is_relative_to(top):
        raise WorktreeFailed(f"The agent cannot start in {subdirectory!r}: a link there leads out, to {place!r}.")
    # Without the worktree it would be a directory that belongs to nothing.
    if not Path(top).is_dir():
        return
    try:
        Path(place).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise WorktreeFailed(f"The agent cannot start in {subdirectory!r}: {error.strerror}, {place!r}.") from error


def _entry(git: commands.Git, repository: str, start: str, subdirectory: str) -> str:
    """Returns what git has at the path, or else the file, link or submodule that the path leads through, if any."""
    # Nothing in a name is a pattern, nor the mark of one, such as ":(top)".
    question = ("--literal-pathspecs", "ls-tree", "--full-tree", "-z", start, "--", subdirectory)
    try:
        return git(repository, *question)
    except commands.GitFailed:
        # Of a HEAD without a commit git says only that it is no valid object.
        if branches.commit(git, repository, start) is None:
            raise errors.RepositoryEmpty(repository) from None
        raise


def _instead(mode: str) -> str:
    if mode == _LINK:
        return "a symbolic link. Name the directory that it leads to."
    if mode == _SUBMODULE:
        return "a submodule, whose files are not in a task's worktree. Use a task list for its own repository."
    return "a file. Name a directory."
