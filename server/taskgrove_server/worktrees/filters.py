"""What the filters of a repository need, so that its files can be checked out in a worktree of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from taskgrove_server.worktrees import commands

#: Where git-crypt keeps its keys: in the git directory of the checkout, which for a linked worktree is one of its own.
_GIT_CRYPT = "git-crypt"

_FAILED = re.compile(r"(?:smudge|clean) filter '?([^\s']+?)'? failed")


def have_state(common_dir: str) -> bool:
    """Tells whether filters of a repository keep something in its git directory that worktrees do not have."""
    return Path(common_dir, _GIT_CRYPT).is_dir()


def share_state(common_dir: str, own: str) -> None:
    """Gives a worktree what filters keep in the git directory of its repository; raises OSError."""
    link = Path(own, _GIT_CRYPT)
    if have_state(common_dir) and not os.path.lexists(link):
        link.symlink_to(Path(common_dir, _GIT_CRYPT), target_is_directory=True)


def explained(failure: commands.GitFailed) -> str:
    """Returns why git failed, and what to do about it when a filter did."""
    words = str(failure)
    found = _FAILED.search(words)
    if found is None:
        return words
    name = found[1]
    skip = (
        " To do without the contents of large files, set GIT_LFS_SKIP_SMUDGE=1 for the server, name it in its "
        "pass_environment, and have the list's setup_command fetch what is needed."
        if name == "lfs"
        else ""
    )
    return (
        f"The filter {name!r}, which the repository requires, failed on the files of a new worktree: {words}. Install "
        f"the program that filter.{name}.smudge or filter.{name}.process names where the server can start it, have it "
        "look for what it keeps in 'git rev-parse --git-common-dir', or make it optional with "
        f"'git config filter.{name}.required false'.{skip}"
    )
