"""Pushes work to a remote repository, with the credentials that git has and without asking for any."""

from __future__ import annotations

import re

from taskgrove_server.domain import errors
from taskgrove_server.worktrees import commands, large_files

_REMOTE_SAYS = re.compile(r"^remote: ?(.*?)\s*$", re.MULTILINE)

#: One branch and nothing besides, whatever push.* and color.* say.
_OPTIONS = (
    *("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed", "--no-atomic"),
    "--no-force-if-includes",
)
_SETTINGS = (
    "-c",
    "push.pushOption=",
    "-c",
    "color.remote=false",
    "-c",
    "color.push=false",
    "-c",
    "color.transport=false",
)

#: What stands before a ref that the remote repository has taken: new, moved on, replaced, there already.
_TAKEN = "*+= "


def push(git: commands.Git, repository: str, remote: str, commit: str, remote_branch: str, *, force: bool) -> str:
    """Sets a remote branch to a commit, and returns what the remote repository said.

    What is kept in Git LFS is there before the commits are. `force` replaces other commits, provided that the branch
    is where it was last seen from here. Raises RemoteNotFound and PushFailed.
    """
    if remote not in commands.rows(git(repository, "remote")):
        raise errors.RemoteNotFound(remote)
    try:
        large_files.push(git, repository, remote, commit)
        return _push(git, repository, remote, commit, f"refs/heads/{remote_branch}", force=force)
    except commands.GitFailed as failure:
        raise errors.PushFailed(remote, remote_branch, str(failure)) from failure


def _push(git: commands.Git, repository: str, remote: str, commit: str, ref: str, *, force: bool) -> str:
    lease = (f"--force-with-lease={ref}",) if force else ()
    heard = git.hear(
        repository,
        # A mirror takes no single branch.
        *(*_SETTINGS, "-c", f"remote.{remote}.mirror=false"),
        *("push", *_OPTIONS, *lease, remote, f"{commit}:{ref}"),
    )
    taken, other = _receivers(heard.output, ref)
    if heard.status or other or not taken:
        words = [heard.words or "git does not say why."]
        if not heard.status:
            words = [f"git did not report {ref!r} as taken by the remote repository: {heard.words}"]
        if taken:
            # As where a remote has several addresses.
            words.append(f"The branch was pushed to {', '.join(taken)} all the same.")
        raise commands.GitFailed(" ".join(words), heard.status)
    return "\n".join(line for line in _REMOTE_SAYS.findall(heard.errors) if line)


def _receivers(output: str, ref: str) -> tuple[list[str], list[str]]:
    """Returns the addresses whose repositories have taken a ref, as git-push(1) tells them, and those of all others."""
    taken: dict[str, bool] = {}
    address = ""
    for line in commands.rows(output):
        if line.startswith("To "):
            address = line.removeprefix("To ")
            taken.setdefault(address, False)
        elif line.count("\t") >= 2:
            flag, refs, _ = line.split("\t", 2)
            if refs.endswith(f":{ref}") and flag in _TAKEN:
                taken[address] = True
    return [one for one, is_taken in taken.items() if is_taken], [
        one for one, is_taken in taken.items() if not is_taken
    ]
