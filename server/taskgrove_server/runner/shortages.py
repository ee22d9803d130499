"""Tells errors that pass by themselves, because the machine is short of something, from those that do not."""

from __future__ import annotations

import errno
import os

from taskgrove_server.domain import shortages
from taskgrove_server.domain.shortages import Shortage
from taskgrove_server.runner.space import FreeSpace, is_full
from taskgrove_server.worktrees.commands import GitFailed
from taskgrove_server.worktrees.commits import CommitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.worktrees import Worktrees

#: Errors that quote what git said.
_GIT = (WorktreeFailed, CommitFailed, GitFailed)

#: What a file system says that is away for a moment, as one on a network.
_AWAY = frozenset({errno.EIO, errno.ENOENT, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT})


def of(error: BaseException) -> Shortage | None:
    """Returns what was short when an error was raised; None when nothing was."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Shortage.MACHINE
        if isinstance(cause, OSError) and (short := shortages.of_errno(cause.errno)):
            return short
        if isinstance(cause, (*_GIT, RuntimeError)) and (short := shortages.of_words(str(cause))):
            return short
        cause = cause.__cause__
    return None


def of_preparation(error: BaseException, space: FreeSpace, repository: str | None) -> Shortage | None:
    """As `of`, for what went wrong while a directory was made: also for what programs do not say in words.

    Whatever git or a setup command says: on a disk without room it is that.
    """
    if short := of(error):
        return short
    try:
        if space.short() or (repository is not None and has_no_room(repository)):
            return Shortage.ROOM
    except OSError:
        return Shortage.MACHINE
    away = isinstance(error, OSError) and error.errno in _AWAY
    return Shortage.MACHINE if away and not os.path.isdir(space.directory) else None  # noqa: PTH112 - raises nothing


def has_no_room(repository: str) -> bool:
    """Tells whether a disk is full that holds a repository's checkout, or what all its checkouts share."""
    common_dir = Worktrees.common_dir(repository)
    return is_full(repository) or (common_dir is not None and is_full(common_dir))
