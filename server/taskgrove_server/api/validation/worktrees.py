"""What requests to WorktreeService, and the worktree settings of lists, must be."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from taskgrove.v1 import landing_pb2
from taskgrove.v1 import worktree_service_pb2 as messages
from taskgrove.v1.worktree_settings_pb2 import WorktreeSettings
from taskgrove_server.api.validation.checks import PATH, Checks
from taskgrove_server.worktrees import names

# Sizes are in bytes of UTF-8 unless they say otherwise, times in seconds.
PATHS = 100
CONTEXT_LINES = 1000
LONGEST_PATCH = 64 << 20
MESSAGE = 65536
COPIED_FILES = 100
COPIED_FILE_CHARACTERS = 500
PREFIX_CHARACTERS = 100
LONGEST_SETUP = 86400
LONGEST_CLEAN_UP = 365 * 86400

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}\Z")


def discard(request: messages.DiscardWorktreeRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.request_id(request.request_id)


def work(request: Any) -> None:
    """Raises InvalidRequest for a request that names a task and perhaps a target branch, if they cannot be right."""
    with Checks() as checks:
        _work(checks, request)


def listing(request: messages.ListChangedFilesRequest | messages.ListCommitsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        _work(checks, request)
        checks.page_size(request.page_size)


def diff(request: messages.DiffWorktreeRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        _work(checks, request)
        if len(request.paths) > PATHS:
            checks.wrong("paths", f"must have at most {PATHS} entries")
        for index, path in enumerate(request.paths[:PATHS]):
            _relative(checks, f"paths[{index}]", path, PATH)
        if not 0 <= request.context_lines <= CONTEXT_LINES:
            checks.wrong("context_lines", f"must be between 0 and {CONTEXT_LINES}")
        if not 0 <= request.max_patch_bytes <= LONGEST_PATCH:
            checks.wrong("max_patch_bytes", f"must be between 0 and {LONGEST_PATCH}")


def check_land(request: messages.CheckLandRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        _work(checks, request)
        _strategy(checks, request.strategy)


def land(request: messages.LandRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        _work(checks, request)
        _strategy(checks, request.strategy)
        checks.text("message", request.message)
        if len(request.message.encode()) > MESSAGE:
            checks.wrong("message", f"must have at most {MESSAGE} bytes")
        if request.message and request.strategy == landing_pb2.LAND_STRATEGY_REBASE:
            checks.wrong("message", "must be empty for LAND_STRATEGY_REBASE, which keeps the commits' own")
        _commit(checks, request.expected_head)
        checks.request_id(request.request_id)


def push(request: messages.PushBranchRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if request.remote and not _REMOTE.match(request.remote):
            checks.wrong("remote", "must be the name of a remote")
        if request.remote_branch:
            _branch(checks, "remote_branch", request.remote_branch)
        _commit(checks, request.expected_head)
        checks.request_id(request.request_id)


def prune(request: messages.PruneWorktreesRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        if request.task_list_id:
            checks.id("task_list_id", request.task_list_id)
        if request.HasField("rested_for"):
            checks.duration("rested_for", request.rested_for, 0, LONGEST_CLEAN_UP)
        checks.request_id(request.request_id)


def read_setup_log(request: messages.ReadSetupLogRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.not_negative("offset", request.offset)


def settings(checks: Checks, message: WorktreeSettings, *, has_repository: bool) -> None:
    """Wants worktree settings, of a list that has a repository."""
    field = "worktree_settings"
    if not has_repository and message != WorktreeSettings():
        checks.wrong(field, "must be unset for a list without a working_dir")
    if message.base_branch:
        _branch(checks, f"{field}.base_branch", message.base_branch)
    prefix = message.branch_prefix
    if prefix and (len(prefix) > PREFIX_CHARACTERS or not names.is_branch(f"{prefix}x")):
        checks.wrong(f"{field}.branch_prefix", "must be what git can begin a branch's name with")
    if len(message.copied_files) > COPIED_FILES:
        checks.wrong(f"{field}.copied_files", f"must have at most {COPIED_FILES} entries")
    for index, pattern in enumerate(message.copied_files[:COPIED_FILES]):
        _relative(checks, f"{field}.copied_files[{index}]", pattern, COPIED_FILE_CHARACTERS)
    if message.HasField("setup_command"):
        checks.command(f"{field}.setup_command", message.setup_command)
    if message.HasField("setup_timeout"):
        checks.duration(f"{field}.setup_timeout", message.setup_timeout, 1, LONGEST_SETUP)
    for name in ("landed_after", "rested_after"):
        if message.clean_up.HasField(name):
            checks.duration(f"{field}.clean_up.{name}", getattr(message.clean_up, name), 0, LONGEST_CLEAN_UP)


def _work(checks: Checks, request: Any) -> None:
    checks.id("task_id", request.task_id)
    if request.target_branch:
        _branch(checks, "target_branch", request.target_branch)


def _branch(checks: Checks, field: str, value: str) -> None:
    if not names.is_branch(value):
        checks.wrong(field, "must be a name that git takes for a branch")


def _strategy(checks: Checks, value: int) -> None:
    if value:
        checks.known("strategy", [value], landing_pb2.LandStrategy)


def _commit(checks: Checks, value: str) -> None:
    if value and not _COMMIT.match(value):
        checks.wrong("expected_head", "must be the full id of a commit")


def _relative(checks: Checks, field: str, value: str, longest: int) -> None:
    """Wants a path that stays below where it starts."""
    checks.path(field, value, absolute=False)
    if len(value) > longest:
        checks.wrong(field, f"must have at most {longest} characters")
    if not value or value.startswith("/") or PurePosixPath(value) == PurePosixPath("."):
        checks.wrong(field, "must be a relative path")
    elif any("**" in part and part != "**" for part in value.split("/")):
        checks.wrong(field, "must have '**' only as a whole component")
