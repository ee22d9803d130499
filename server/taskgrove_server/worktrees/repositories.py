"""Tells whether a directory can be the repository of a task list."""

from __future__ import annotations

import os
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands, roots

#: Seconds. Nothing here reads more than a few files; a network file system may be slow.
_TIMEOUT = 30.0

_git = commands.Git(timeout=_TIMEOUT)


def inspect(path: str) -> str:
    """Returns the canonical path of a usable repository's top level: a checkout, linked worktrees included.

    Raises DirectoryNotFound, NotARepository, RepositoryBare or RepositoryEmpty.
    """
    directory = roots.canonical(path)
    if not (os.access(directory, os.R_OK | os.X_OK) and Path(directory).is_dir()):
        raise errors.DirectoryNotFound(path)
    try:
        question = ("rev-parse", "--is-bare-repository", "--is-inside-git-dir")
        bare, inside_git_dir = _git(directory, *question, discover=True).split()
        if bare == "true":
            raise errors.RepositoryBare(path)
        if inside_git_dir == "true":
            raise errors.NotARepository(path, "it lies inside a .git directory: use the checkout that it belongs to.")
        top = _git(directory, "rev-parse", "--show-toplevel", discover=True)
        if os.path.realpath(top) != directory:
            raise errors.NotARepository(path, f"it lies inside the repository {top!r}: use that.")
        if _git.ask(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
            raise errors.RepositoryEmpty(path)
    except commands.GitFailed as failure:
        raise errors.NotARepository(path, _why(failure)) from failure
    return directory


def _why(failure: commands.GitFailed) -> str:
    if "not a git repository" in str(failure):
        return "there is no repository at it or above it: run 'git init' there, or use another directory."
    return str(failure)
