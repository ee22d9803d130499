"""Runs git in repositories that an agent may have made, so that little of what their config names is run."""

from __future__ import annotations

from collections.abc import Mapping

from taskgrove_server.worktrees import commands

#: A fsmonitor is a program, a signature calls one; a directory of another owner would be refused.
_SETTINGS = (
    "core.fsmonitor=false",
    "safe.directory=*",
    "submodule.recurse=false",
    "log.showSignature=false",
)

_OPTIONS = tuple(part for setting in _SETTINGS for part in ("-c", setting))


def run(
    git: commands.Git,
    directory: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> str:
    """As a call of `git`."""
    return git(directory, *_OPTIONS, *arguments, environment=environment, stdin=stdin)


def ask(git: commands.Git, directory: str, *arguments: str) -> str | None:
    """As `git.ask`."""
    return git.ask(directory, *_OPTIONS, *arguments)
