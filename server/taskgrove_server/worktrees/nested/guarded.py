"""Runs git in repositories that an agent may have made, so that little of what their config names is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from taskgrove_server.domain import shortages
from taskgrove_server.domain.worktree import NestedKind
from taskgrove_server.worktrees import commands
from taskgrove_server.worktrees.git_dirs import GitDirs
from taskgrove_server.worktrees.nested.repositories import Nested

#: A fsmonitor is a program, a signature calls one; a directory of another owner would be refused.
_SETTINGS = (
    "core.fsmonitor=false",
    "safe.directory=*",
    "submodule.recurse=false",
    "log.showSignature=false",
)

#: Of the scopes of settings, those that are in the repository.
_OWN_SCOPES = ("local", "worktree")

_NO_FILTER = {"clean": "", "smudge": "", "process": "", "required": "false"}

_OPTIONS = tuple(part for setting in _SETTINGS for part in ("-c", setting))


def run(
    git: commands.Git,
    place: str | Nested,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> str:
    """As a call of `git`, in a checkout or a repository."""
    directory = place
    if isinstance(place, Nested):
        directory = place.directory
        environment = {**place.environment, **(environment or {})}
    return git(str(directory), *_OPTIONS, *arguments, environment=environment, stdin=stdin)


def ask(git: commands.Git, place: str | Nested, *arguments: str) -> str | None:
    """As `run`, but returns None for status 1, with which git's quiet questions say no."""
    try:
        return run(git, place, *arguments)
    except commands.GitFailed as failure:
        if failure.status == 1:
            return None
        raise


def without_filters(git: commands.Git, nested: Nested) -> Mapping[str, str]:
    """Returns the environment in which the filters that a repository's own config defines do not run.

    Not for submodules, whose files would all seem to be changed without the filters that made them.
    """
    if nested.kind is NestedKind.SUBMODULE or not _may_define_filters(nested.dirs):
        return {}
    answer = ask(git, nested, "config", "-z", "--show-scope", "--name-only", "--get-regexp", r"^filter\.") or ""
    fields = iter(answer.removesuffix("\0").split("\0"))
    defined = {name.rpartition(".")[0] for scope, name in zip(fields, fields, strict=False) if scope in _OWN_SCOPES}
    # By the environment: a filter's name may hold what ends a name behind -c.
    settings = [(f"{name}.{key}", value) for name in defined for key, value in _NO_FILTER.items()]
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, first):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _may_define_filters(dirs: GitDirs) -> bool:
    for config in (Path(dirs.common, "config"), Path(dirs.own, "config.worktree")):
        with shortages.suppressing_others():
            text = config.read_bytes().lower()
            if b"filter" in text or b"include" in text:
                return True
    return False
