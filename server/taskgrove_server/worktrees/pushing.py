"""Pushes work to a remote repository, with the credentials that git has and without asking for any."""

from __future__ import annotations

import re

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands

_REMOTE_SAYS = re.compile(r"^remote: ?(.*?)\s*$", re.MULTILINE)


def push(git: commands.Git, repository: str, remote: str, commit: str, remote_branch: str, *, force: bool) -> str:
    """Sets a remote branch to a commit, and returns what the remote repository said.

    `force` replaces other commits, provided that the branch is where it was last seen from here. Raises RemoteNotFound
    and PushFailed.
    """
    if remote not in git(repository, "remote").splitlines():
        raise errors.RemoteNotFound(remote)
    options = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
    lease = (f"--force-with-lease=refs/heads/{remote_branch}",) if force else ()
    try:
        return _says(git.heard(repository, "push", *options, *lease, remote, f"{commit}:refs/heads/{remote_branch}"))
    except commands.GitFailed as failure:
        raise errors.PushFailed(remote, remote_branch, str(failure)) from failure


def _says(words: str) -> str:
    return "\n".join(line for line in _REMOTE_SAYS.findall(words) if line)
