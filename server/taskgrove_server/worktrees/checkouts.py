"""Where the checkouts of a repository really are.

Git lists the main one by the place of its git directory. Where that lies elsewhere (`git init --separate-git-dir`, a
submodule, a link), it names the git directory instead, and it names the branch of a bare repository as checked out.
"""

from __future__ import annotations

import os
from pathlib import Path

from taskgrove_server.worktrees import commands, git_dirs


def place(git: commands.Git, repository: str, listed: str) -> str | None:
    """Returns the directory of a checkout that git lists, None when there is none because the repository is bare.

    One whose files cannot be found, as when `repository` is another checkout than a main one without a setting that
    says where it is, stays as it is listed: its git directory. Raises GitFailed.
    """
    dot = Path(listed, ".git")
    if os.path.lexists(dot):
        # A bare repository has no index, and whoever has one is not asked.
        if dot.is_dir() and not Path(dot, "index").exists() and _is_bare(git, str(dot)):
            return None
        return listed
    dirs = git_dirs.read(listed)
    if dirs is None or dirs.linked:
        # Somebody has removed it by hand.
        return listed
    if _is_checkout_of(repository, dirs.own):
        return repository
    if _is_bare(git, listed):
        return None
    named = git.ask(listed, "config", "--get", "core.worktree")
    if named is not None:
        top = os.path.realpath(Path(listed, named))
        if _is_checkout_of(top, dirs.own):
            return top
    return listed


def is_lost(checkout: str) -> bool:
    """Tells whether a checkout that `place` returned is but a git directory, so that its files cannot be found."""
    return not os.path.lexists(Path(checkout, ".git")) and git_dirs.read(checkout) is not None


def _is_checkout_of(path: str, git_dir: str) -> bool:
    if not os.path.lexists(Path(path, ".git")):
        return False
    dirs = git_dirs.read(path)
    return dirs is not None and dirs.own == git_dir


def _is_bare(git: commands.Git, git_dir: str) -> bool:
    return git.ask(git_dir, "config", "--type=bool", "--get", "core.bare") == "true"
