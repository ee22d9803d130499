"""Worktrees: how they are made, what has become of them, and where their work went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from taskgrove_server.domain.config import Command

#: How long a setup command may take unless its list says.
SETUP_TIMEOUT = timedelta(minutes=10)


class LandStrategy(StrEnum):
    """How work gets onto another branch; the values mean what landing.proto says."""

    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


@dataclass(frozen=True, slots=True)
class Landing:
    """A landing that was done: full commit ids, an aware time."""

    target_branch: str
    #: The target branch's head afterwards.
    commit: str
    #: What was landed.
    head_commit: str
    strategy: LandStrategy
    land_time: datetime


class WorktreeState(StrEnum):
    """What there is of a worktree."""

    PRESENT = "present"
    #: The directory was removed.
    PRUNED = "pruned"
    #: Directory and branch were removed.
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Worktree:
    """The checkout of a task: an absolute path, a branch name, and full commit ids."""

    path: str
    branch: str
    base_commit: str
    head_commit: str | None = None
    state: WorktreeState = WorktreeState.PRESENT
    #: Where work was saved when something of the worktree was last removed.
    saved_ref: str | None = None
    landing: Landing | None = None
    setup_log_path: str | None = None
    #: Files that were copied in, relative to `path`, which the server never commits.
    copied_files: tuple[str, ...] = ()
    #: The git directory of its repository, canonical; None for worktrees of servers that did not keep it.
    common_dir: str | None = None


@dataclass(frozen=True, slots=True)
class CleanUp:
    """After which time the directory of a resting task's worktree is removed; None means never."""

    landed_after: timedelta | None = None
    rested_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class WorktreeSettings:
    """How the worktrees of a list are made and cleaned away; fields as in worktree_settings.proto."""

    base_branch: str = ""
    branch_prefix: str = ""
    copied_files: tuple[str, ...] = ()
    setup_command: Command | None = None
    setup_timeout: timedelta | None = None
    clean_up: CleanUp = CleanUp()


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed of a worktree, or would be; None where there was nothing."""

    path: str | None = None
    branch: str | None = None
    unlanded_commits: int = 0
    uncommitted_files: int = 0
    saved_ref: str | None = None
    saved_commit: str | None = None
