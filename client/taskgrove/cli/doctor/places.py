"""Checks of places: the disk of the data directory, and the repository around the current directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from taskgrove.cli import asking, exits, projects
from taskgrove.cli.doctor import findings
from taskgrove.cli.doctor.findings import Finding

_MIB = 1024 * 1024

#: With less, a server that is not configured otherwise starts no task: its `min_free_space` setting.
_STANDSTILL = 100 * _MIB

#: With less, a few worktrees of a large repository lead there.
_SCARCE = 1024 * _MIB


class _Usage(Protocol):
    """What is asked of a disk."""

    @property
    def free(self) -> int:
        """Bytes that are free."""
        ...


def disk(directory: Path, usage: Callable[[Path], _Usage] = shutil.disk_usage) -> Finding:
    """Checks that there is room where the server keeps worktrees and logs."""
    # The directory is made when a server first starts; its disk is that of what is there already.
    place = next(parent for parent in (directory.absolute(), *directory.absolute().parents) if parent.exists())
    try:
        free = usage(place).free
    except OSError as error:
        return findings.problem("disk", f"{place} cannot be looked at: {error}", "Check its permissions.")
    found = f"{free // _MIB:,} MiB are free for {directory}"
    advice = "Clear away worktrees with: taskgrove prune --rested-for 30d"
    if free < _STANDSTILL:
        return findings.problem("disk", f"Only {found}, so that tasks wait", advice)
    if free < _SCARCE:
        return findings.warning("disk", f"Only {found}", advice)
    return findings.ok("disk", found)


def repository(directory: Path) -> Finding:
    """Checks that tasks can be run on the repository around a directory."""
    try:
        top = projects.repository_of(directory)
    except exits.Refused as error:
        return findings.problem("repository", error.message.rstrip("."), "Mend that, or work in another directory.")
    if top is None:
        return findings.warning(
            "repository",
            f"{directory} is not in a git repository, so that tasks from here get an empty sandbox",
            "Run git init, or go to a repository.",
        )
    has_commit = _has_commit(top)
    if has_commit is None:
        return findings.problem("repository", f"git does not answer in {top}", f"Try: git -C '{top}' rev-parse HEAD")
    if not has_commit:
        return findings.problem(
            "repository", f"{top} has no commit to start from", "Make one: git commit --allow-empty -m 'First commit'"
        )
    return findings.ok("repository", f"The repository {top} can be worked on")


def _has_commit(top: Path) -> bool | None:
    """Tells whether a repository has a commit checked out; None when git does not answer."""
    argv: list[str | Path] = ["git", "-C", top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    answer = asking.ask(argv, projects.own_environment())
    return None if answer is None else answer.status == 0
