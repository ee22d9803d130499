"""Tells whether a directory can be the repository of a task list."""

from __future__ import annotations

import os
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import branches, commands, formats, roots

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


def git_version() -> str:
    """Returns the version of git, such as "2.39.5"; empty when git cannot be started."""
    try:
        return _git(os.sep, "version").removeprefix("git version ").split()[0]
    except commands.GitFailed:
        return ""


def check_base(repository: str, branch: str) -> None:
    """Raises BranchNotFound when tasks cannot start from a branch of this name."""
    try:
        found = branches.find_base(_git, repository, branch)
    except commands.GitFailed as failure:
        raise errors.NotARepository(repository, _why(failure)) from failure
    if found is None:
        raise errors.BranchNotFound(branch)


def of_worktree(git: commands.Git, path: str) -> str | None:
    """Returns the path of the main checkout of the repository that a worktree belongs to, None if it is gone."""
    try:
        first = git(path, "worktree", "list", "--porcelain", "-z").split("\0", 1)[0]
    except commands.GitFailed:
        return None
    return first.removeprefix("worktree ")


def _why(failure: commands.GitFailed) -> str:
    if "not a git repository" in str(failure):
        return "there is no repository at it or above it: run 'git init' there, or use another directory."
    return formats.too_new(str(failure), git_version()) or str(failure)
