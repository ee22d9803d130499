"""Tells whether a directory can be the repository of a task list, and what tasks can start from in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import branches, commands, formats, git_dirs, prefixes, roots, subdirectories

#: Seconds. Nothing here reads more than a few files; a network file system may be slow.
_TIMEOUT = 30.0

_git = commands.Git(timeout=_TIMEOUT)


def interrupt(thread: int) -> None:
    """Ends the git command that a thread waits for here, if any, so that the thread's call fails."""
    _git.interrupt(thread)


def stop() -> None:
    """Ends the git commands that run here, whose calls then fail, and lets no further ones begin."""
    _git.stop()


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
        if failure.status is None:
            # It was not even asked.
            raise errors.RepositoryFailed(str(failure)) from failure
        raise errors.NotARepository(path, _why(failure, directory)) from failure
    return directory


def git_version() -> str:
    """Returns the version of git, such as "2.39.5"; empty when git cannot be started."""
    try:
        return _git(os.sep, "version").removeprefix("git version ").split()[0]
    except commands.GitFailed:
        return ""


def git_program() -> str | None:
    """Returns the path of the git program, None when there is none."""
    return shutil.which("git")


def check_base(repository: str, branch: str) -> None:
    """Raises BranchNotFound when tasks cannot start from a branch, RepositoryFailed when git cannot tell."""
    try:
        found = branches.find_base(_git, repository, branch)
    except commands.GitFailed as failure:
        raise errors.RepositoryFailed(_why(failure, repository)) from failure
    if found is None:
        raise errors.BranchNotFound(branch)


def check_subdirectory(repository: str, base_branch: str, subdirectory: str) -> None:
    """As subdirectories.check."""
    subdirectories.check(_git, repository, base_branch, subdirectory)


def check_prefix(repository: str, prefix: str) -> None:
    """Raises BranchPrefixTaken when a branch stands in the way of branches that begin with a prefix."""
    try:
        refusal = prefixes.taken(_git, repository, prefix)
    except commands.GitFailed:
        # Nobody can tell. Whoever makes a branch there is told what git says.
        return
    if refusal is not None:
        raise refusal


def of_worktree(git: commands.Git, path: str) -> str | None:
    """Returns the path of the main checkout of the repository that a worktree belongs to, None if it is gone."""
    try:
        first = git(path, "worktree", "list", "--porcelain", "-z").split("\0", 1)[0]
    except commands.GitFailed:
        return None
    return first.removeprefix("worktree ")


def standing_for(working_dir: str, common_dir: str | None) -> str:
    """Returns where to do what is to be done in the repository with a git directory, which may not be known.

    That is the directory of the list while it is a checkout of that repository; the git directory itself once a linked
    worktree was removed, or a checkout moved away from it.
    """
    if common_dir is None:
        return working_dir
    dirs = git_dirs.read(working_dir)
    if dirs is not None and dirs.common == os.path.realpath(common_dir):
        return working_dir
    return common_dir if git_dirs.read(common_dir) else working_dir


def _why(failure: commands.GitFailed, directory: str) -> str:
    words = str(failure)
    if "not a git repository" not in words:
        return formats.too_new(words, git_version()) or words
    leads_to = git_dirs.leads_to(directory)
    if leads_to is not None:
        return (
            f"its .git leads to {leads_to!r}, where no git directory is any more: have 'git worktree repair' in its "
            "repository mend that, or use another directory."
        )
    return "there is no repository at it or above it: run 'git init' there, or use another directory."
