"""Conversions between the domain's words and the wire's, about worktrees and the work in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf import duration_pb2

from taskgrove.v1 import change_pb2, landing_pb2, run_config_pb2, task_pb2
from taskgrove.v1 import worktree_service_pb2 as messages
from taskgrove.v1 import worktree_settings_pb2 as settings_pb2
from taskgrove_server.api.texts import cut, from_time
from taskgrove_server.domain import errors
from taskgrove_server.domain.config import Command
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import (
    CleanUp,
    Landing,
    LandStrategy,
    NestedRepository,
    Removal,
    SavedRepository,
    Worktree,
    WorktreeSettings,
)
from taskgrove_server.runner.review import LandCheck, Status
from taskgrove_server.worktrees.changes import ChangedFile, ChangeKind, Commit, text_of

_KINDS = {
    ChangeKind.ADDED: change_pb2.ChangedFile.KIND_ADDED,
    ChangeKind.MODIFIED: change_pb2.ChangedFile.KIND_MODIFIED,
    ChangeKind.DELETED: change_pb2.ChangedFile.KIND_DELETED,
    ChangeKind.RENAMED: change_pb2.ChangedFile.KIND_RENAMED,
    ChangeKind.TYPE_CHANGED: change_pb2.ChangedFile.KIND_TYPE_CHANGED,
}

_STRATEGIES = {landing_pb2.LandStrategy.Value(f"LAND_STRATEGY_{strategy.name}"): strategy for strategy in LandStrategy}

_Obstacle = messages.CheckLandResponse.Obstacle
_Remedy = messages.CheckLandResponse.Remedy

_OBSTACLES: dict[type[errors.TaskgroveError], _Obstacle] = {
    errors.TaskActive: messages.CheckLandResponse.OBSTACLE_TASK_ACTIVE,
    errors.NothingToLand: messages.CheckLandResponse.OBSTACLE_NOTHING_TO_LAND,
    errors.LandConflict: messages.CheckLandResponse.OBSTACLE_CONFLICT,
    errors.WorktreeDirty: messages.CheckLandResponse.OBSTACLE_WORKTREE_DIRTY,
    errors.WorkUnfinished: messages.CheckLandResponse.OBSTACLE_WORK_UNFINISHED,
    errors.HistoriesUnrelated: messages.CheckLandResponse.OBSTACLE_CONFLICT,
    errors.MergesNotRebasable: messages.CheckLandResponse.OBSTACLE_MERGES_NOT_REBASABLE,
    errors.OtherCommits: messages.CheckLandResponse.OBSTACLE_OTHER_COMMITS,
    errors.SubmoduleUnpublished: messages.CheckLandResponse.OBSTACLE_UNPUBLISHED_SUBMODULE,
    errors.CheckoutDirty: messages.CheckLandResponse.OBSTACLE_CHECKOUT_DIRTY,
    errors.FilesInTheWay: messages.CheckLandResponse.OBSTACLE_FILES_IN_THE_WAY,
    errors.TargetBusy: messages.CheckLandResponse.OBSTACLE_TARGET_BUSY,
    errors.BranchNotFound: messages.CheckLandResponse.OBSTACLE_NO_TARGET_BRANCH,
}

#: Files that an obstacle names.
_FILES = 100

# Bytes that are sent of names and of the body of a commit's message.
_NAME = 1000
_BODY = 65536


def from_worktree(worktree: Worktree | None) -> task_pb2.Worktree | None:
    """Returns the wire's worktree."""
    if worktree is None:
        return None
    return task_pb2.Worktree(
        path=worktree.path,
        branch=worktree.branch,
        base_commit=worktree.base_commit,
        head_commit=worktree.head_commit or "",
        state=f"STATE_{worktree.state.name}",
        saved_ref=worktree.saved_ref or "",
        landing=_from_landing(worktree.landing),
        setup_log_path=worktree.setup_log_path or "",
    )


def from_settings(settings: WorktreeSettings) -> settings_pb2.WorktreeSettings | None:
    """Returns the wire's settings, None when nothing is set."""
    if settings == WorktreeSettings():
        return None
    message = settings_pb2.WorktreeSettings(
        base_branch=settings.base_branch,
        branch_prefix=settings.branch_prefix,
        copied_files=settings.copied_files,
        setup_timeout=_from_span(settings.setup_timeout),
    )
    if settings.setup_command is not None:
        message.setup_command.CopyFrom(from_command(settings.setup_command))
    for name in ("landed_after", "rested_after"):
        span: timedelta | None = getattr(settings.clean_up, name)
        if span is not None:
            getattr(message.clean_up, name).FromTimedelta(span)
    return message


def to_settings(message: settings_pb2.WorktreeSettings) -> WorktreeSettings:
    """Returns the settings of a message that has been validated."""
    return WorktreeSettings(
        base_branch=message.base_branch,
        branch_prefix=message.branch_prefix,
        copied_files=tuple(message.copied_files),
        setup_command=to_command(message.setup_command) if message.HasField("setup_command") else None,
        setup_timeout=to_span(message, "setup_timeout"),
        clean_up=CleanUp(
            landed_after=to_span(message.clean_up, "landed_after"),
            rested_after=to_span(message.clean_up, "rested_after"),
        ),
    )


def from_command(command: Command) -> run_config_pb2.Command:
    """Returns the wire's command."""
    if command.shell is not None:
        return run_config_pb2.Command(shell=command.shell)
    return run_config_pb2.Command(argv=run_config_pb2.Argv(values=command.argv))


def to_command(message: run_config_pb2.Command) -> Command:
    """Returns the command of a validated message."""
    shell = message.shell if message.WhichOneof("form") == "shell" else None
    return Command(argv=tuple(message.argv.values), shell=shell)


def to_span(message: Any, field: str) -> timedelta | None:
    """Returns the span in a field, None when it is unset."""
    span: timedelta | None = getattr(message, field).ToTimedelta() if message.HasField(field) else None
    return span


def to_strategy(value: int) -> LandStrategy:
    """Returns the strategy that a validated request wants."""
    return _STRATEGIES.get(value, LandStrategy.MERGE)


def from_status(status: Status) -> messages.GetWorktreeStatusResponse:
    """Returns the wire's status."""
    subject = status.work
    return messages.GetWorktreeStatusResponse(
        worktree=from_worktree(status.worktree),
        present=subject.present,
        target_branch=_clean(subject.target.name) if subject.target else "",
        base_commit=subject.base,
        head_commit=subject.head,
        ahead=status.ahead,
        behind=status.behind,
        uncommitted_files=status.uncommitted_files,
        landed=status.landed,
        size_bytes=status.size_bytes,
        nested_repositories=map(_from_nested, status.nested_repositories),
    )


def from_changed_file(file: ChangedFile) -> change_pb2.ChangedFile:
    """Returns the wire's file."""
    path, raw_path = text_of(file.path)
    return change_pb2.ChangedFile(
        path=path,
        raw_path=raw_path,
        old_path=text_of(file.old_path)[0] if file.old_path else "",
        kind=_KINDS[file.kind],
        binary=file.insertions is None,
        insertions=file.insertions or 0,
        deletions=file.deletions or 0,
        old_mode=file.old_mode,
        mode=file.mode,
    )


def from_commit(commit: Commit) -> change_pb2.Commit:
    """Returns the wire's commit."""
    return change_pb2.Commit(
        id=commit.id,
        subject=cut(_clean(commit.subject), _NAME),
        body=cut(_clean(commit.body), _BODY),
        author_name=cut(_clean(commit.author_name), _NAME),
        author_email=cut(_clean(commit.author_email), _NAME),
        author_time=from_time(commit.author_time),
        commit_time=from_time(commit.commit_time),
        parent_ids=commit.parents,
    )


def from_land_check(check: LandCheck) -> messages.CheckLandResponse:
    """Returns the wire's answer."""
    target = check.work.target
    obstacle = check.obstacle
    remedies = obstacle.remedies if isinstance(obstacle, errors.WorktreeRefused) else ()
    return messages.CheckLandResponse(
        can_land=obstacle is None,
        obstacle=_OBSTACLES[type(obstacle)] if obstacle else None,
        message=_clean(obstacle.message) if obstacle else "",
        conflicting_files=_files(obstacle) if isinstance(obstacle, errors.LandConflict) else (),
        blocking_files=_files(obstacle) if isinstance(obstacle, errors.CheckoutDirty | errors.FilesInTheWay) else (),
        remedies=[_Remedy(description=one.description, command=_clean(one.command)) for one in remedies],
        other_commits=[from_commit(commit) for commit in check.other_commits],
        other_commit_count=check.other_commit_count,
        target_branch=_clean(target.name) if target else "",
        target_commit=target.head if target else "",
        head_commit=check.work.head,
        commits=check.commits,
        checkout_path=_clean(target.checkout or "") if target else "",
        nested_repositories=map(_from_nested, check.left_out),
    )


def from_removal(task_id: TaskId, removal: Removal) -> messages.Removal:
    """Returns the wire's removal."""
    return messages.Removal(
        task_id=task_id,
        path=removal.path or "",
        branch=removal.branch or "",
        unlanded_commits=removal.unlanded_commits,
        uncommitted_files=removal.uncommitted_files,
        saved_ref=removal.saved_ref or "",
        saved_commit=removal.saved_commit or "",
        leftover_path=removal.leftover_path or "",
        nested_repositories=map(_from_nested, removal.nested_repositories),
        saved_repositories=map(_from_saved, removal.saved_repositories),
    )


def _from_nested(nested: NestedRepository) -> change_pb2.NestedRepository:
    return change_pb2.NestedRepository(
        path=text_of(nested.path)[0],
        kind=f"KIND_{nested.kind.name}",
        head_commit=nested.head_commit or "",
        branch=text_of(nested.branch or "")[0],
        uncommitted_files=nested.uncommitted_files,
        commits=nested.commits,
    )


def _from_saved(saved: SavedRepository) -> change_pb2.SavedRepository:
    return change_pb2.SavedRepository(
        path=text_of(saved.path)[0], saved_ref=saved.saved_ref, saved_commit=saved.saved_commit
    )


def _from_landing(landing: Landing | None) -> landing_pb2.Landing | None:
    if landing is None:
        return None
    return landing_pb2.Landing(
        target_branch=landing.target_branch,
        commit=landing.commit,
        head_commit=landing.head_commit,
        strategy=f"LAND_STRATEGY_{landing.strategy.name}",
        land_time=from_time(landing.land_time),
    )


def _from_span(span: timedelta | None) -> duration_pb2.Duration | None:
    if span is None:
        return None
    message = duration_pb2.Duration()
    message.FromTimedelta(span)
    return message


def _files(obstacle: errors.LandConflict | errors.CheckoutDirty | errors.FilesInTheWay) -> list[str]:
    return [text_of(path)[0] for path in obstacle.files[:_FILES]]


def _clean(text: str) -> str:
    return text_of(text)[0]
