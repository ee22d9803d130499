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

#: The modes of entries of a commit, as git prints them, and what to say of those that are no directories.
_DIRECTORY = "040000"
_INSTEAD = {
    "120000": "a symbolic link. Name the directory that it leads to.",
    "160000": "a submodule, whose files are not in a task's worktree. Use a task list for its own repository.",
}

#: Parts of a path that are looked at in order to say why it is no directory; a command line has a bound.
_LOOKED_AT = 100

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
        if _modes(git, repository, start, subdirectory).get(subdirectory) == _DIRECTORY:
            return
        where = f"the branch {base_branch!r}" if base_branch else "the repository's HEAD"
        raise errors.SubdirectoryNotFound(subdirectory, _why_not(git, repository, start, subdirectory, where))
    except commands.GitFailed as failure:
        raise errors.RepositoryFailed(str(failure)) from failure


def enter(worktree: str, subdirectory: str) -> None:
    """Makes sure that an agent can start in a directory of a worktree, which is made again if it has been removed.

    Raises WorktreeFailed when something else is there, or a link that leads out of the worktree; OSError while a
    disk is full.
    """
    top, place = os.path.realpath(worktree), os.path.realpath(Path(worktree, subdirectory))
    if not Path(place).is_relative_to(top):
        raise WorktreeFailed(_barred(subdirectory, f"a link there leads out of the worktree, to {place!r}"))
    # Without the worktree it would be a directory that belongs to nothing.
    if not Path(top).is_dir():
        return
    try:
        Path(place).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise WorktreeFailed(_barred(subdirectory, f"{place!r}: {error.strerror}")) from error


def _barred(subdirectory: str, why: str) -> str:
    return (
        f"The agent cannot start in {subdirectory!r}: {why}. Put a directory in its place in the worktree and continue "
        "the task, or retry it from the start."
    )


def _modes(git: commands.Git, repository: str, start: str, *paths: str) -> dict[str, str]:
    """Returns the modes of what a commit has at some paths, and perhaps at others, by path."""
    # Nothing in a name is a pattern, nor the mark of one, such as ":(top)".
    question = ("--literal-pathspecs", "ls-tree", "--full-tree", "-z", start, "--", *paths)
    try:
        answers = git(repository, *question).split("\0")
    except commands.GitFailed:
        # Git's own words for a HEAD without a commit do not say what to do.
        if branches.commit(git, repository, start) is None:
            raise errors.RepositoryEmpty(repository) from None
        raise
    parted = (answer.partition("\t") for answer in answers if answer)
    return {path: facts.split(" ", 1)[0] for facts, _, path in parted}


def _why_not(git: commands.Git, repository: str, start: str, subdirectory: str, where: str) -> str:
    """Returns why a path is no directory, and what to do about it: what is there, or on the way there, instead."""
    parts = subdirectory.split("/")
    way = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)][:_LOOKED_AT]
    modes = _modes(git, repository, start, *way)
    for path in way:
        mode = modes.get(path, _DIRECTORY)
        if mode != _DIRECTORY:
            return f"in {where}, {path!r} is {_INSTEAD.get(mode, 'a file. Name a directory.')}"
    return f"{where} has no such directory. Commit something in it, or name another directory."
