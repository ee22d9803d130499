"""Builds the messages that both clients send."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsRequest
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.landing_pb2 import LandStrategy
from taskgrove.v1.run_config_pb2 import Argv, Command, RunConfig
from taskgrove.v1.server_service_pb2 import LiftHoldRequest
from taskgrove.v1.task_list_service_pb2 import (
    CreateTaskListRequest,
    DeleteTaskListRequest,
    ListTaskListsRequest,
    UpdateTaskListRequest,
)
from taskgrove.v1.task_pb2 import Subtask, Task, TaskView
from taskgrove.v1.task_service_pb2 import (
    CancelRequest,
    ContinueRequest,
    DeleteTaskRequest,
    EnqueueRequest,
    ListTasksRequest,
    ReadLinesRequest,
    RetryTaskRequest,
    UpdateSubtaskRequest,
    UpdateTaskRequest,
    WatchTaskRequest,
)
from taskgrove.v1.worktree_service_pb2 import (
    DiscardWorktreeRequest,
    LandRequest,
    PruneWorktreesRequest,
    PushBranchRequest,
)
from taskgrove.v1.worktree_settings_pb2 import CleanUp, WorktreeSettings

#: A path on the server's machine.
ServerPath = str | os.PathLike[str]

#: A path within a repository, from its top; a string has "/" between the parts.
RepositoryPath = str | PurePath

#: The order of a listing.
TaskOrder = ListTasksRequest.Order

T = TypeVar("T")


class Paged(Protocol):
    """A request for one page."""

    page_token: str


class Page(Protocol):
    """One page; a token that is not empty leads to the next."""

    next_page_token: str


def run_config(
    *,
    agent: str | None = None,
    model: str | None = None,
    system_prompt: str | None = None,
    agent_path: ServerPath | None = None,
    output_schema: Mapping[str, Any] | str | None = None,
    permission_mode: str | None = None,
    allowed_tools: Sequence[str] = (),
    max_turns: int | None = None,
    run_timeout: timedelta | None = None,
    stall_timeout: timedelta | None = None,
    linger: timedelta | None = None,
    log_limit: int | None = None,
    command: Sequence[str] | str | None = None,
    setting_sources: Sequence[str] = (),
) -> RunConfig:
    """Builds the settings of runs; what is left out is unset. run_config.proto tells what each one means.

    `output_schema` is a JSON Schema, as a mapping or as JSON text. `command` is a program and its arguments when
    it is a list, and a line for the shell when it is a string.
    """
    return RunConfig(
        agent=agent,
        model=model,
        system_prompt=system_prompt,
        agent_path=None if agent_path is None else os.fspath(agent_path),
        output_schema=json.dumps(output_schema) if isinstance(output_schema, Mapping) else output_schema,
        permission_mode=permission_mode,
        allowed_tools=_several("allowed_tools", allowed_tools),
        max_turns=max_turns,
        run_timeout=None if run_timeout is None else _duration(run_timeout),
        stall_timeout=None if stall_timeout is None else _duration(stall_timeout),
        linger=None if linger is None else _duration(linger),
        log_limit=log_limit,
        command=None if command is None else _command(command),
        setting_sources=_several("setting_sources", setting_sources),
    )


def worktree_settings(
    *,
    base_branch: str | None = None,
    branch_prefix: str | None = None,
    copied_files: Sequence[str] = (),
    setup_command: Sequence[str] | str | None = None,
    setup_timeout: timedelta | None = None,
    landed_after: timedelta | None = None,
    rested_after: timedelta | None = None,
) -> WorktreeSettings:
    """Builds the worktree settings of a list; what is left out is unset. worktree_settings.proto tells what each means.

    `setup_command` is a program and its arguments when it is a list, and a line for the shell when it is a string.
    `landed_after` and `rested_after` are the clean-up policy.
    """
    return WorktreeSettings(
        base_branch=base_branch or "",
        branch_prefix=branch_prefix or "",
        copied_files=_several("copied_files", copied_files),
        setup_command=None if setup_command is None else _command(setup_command),
        setup_timeout=None if setup_timeout is None else _duration(setup_timeout),
        clean_up=None
        if landed_after is None and rested_after is None
        else CleanUp(
            landed_after=None if landed_after is None else _duration(landed_after),
            rested_after=None if rested_after is None else _duration(rested_after),
        ),
    )


def create_task_list(
    title: str,
    working_dir: ServerPath | None,
    defaults: RunConfig | None,
    worktree_settings: WorktreeSettings | None,
    request_id: str | None,
) -> CreateTaskListRequest:
    """Asks for a new task list."""
    return CreateTaskListRequest(
        title=title,
        working_dir=os.fspath(working_dir or ""),
        defaults=defaults,
        worktree_settings=worktree_settings,
        request_id=request_id or _new_request_id(),
    )


def list_task_lists(working_dir: ServerPath | None, page_size: int) -> ListTaskListsRequest:
    """Asks for the first page of task lists."""
    return ListTaskListsRequest(working_dir=os.fspath(working_dir or ""), page_size=page_size)


def update_task_list(
    task_list_id: str,
    title: str | None,
    defaults: RunConfig | None,
    worktree_settings: WorktreeSettings | None,
    etag: str | None,
    request_id: str | None,
) -> UpdateTaskListRequest:
    """Asks for the change of what is not None."""
    return UpdateTaskListRequest(
        task_list_id=task_list_id,
        title=title,
        defaults=defaults,
        worktree_settings=worktree_settings,
        etag=etag or "",
        request_id=request_id or _new_request_id(),
    )


def delete_task_list(task_list_id: str, request_id: str | None) -> DeleteTaskListRequest:
    """Asks for a task list to be deleted."""
    return DeleteTaskListRequest(task_list_id=task_list_id, request_id=request_id or _new_request_id())


def enqueue(
    task_list_id: str,
    title: str,
    *,
    description: str,
    subtasks: Sequence[str | Subtask],
    overrides: RunConfig | None,
    subdirectory: RepositoryPath = "",
    request_id: str | None,
) -> EnqueueRequest:
    """Asks for a new task; a subtask that is a string is one that is not done yet."""
    return EnqueueRequest(
        task_list_id=task_list_id,
        title=title,
        description=description,
        subtasks=_subtasks(subtasks),
        overrides=overrides,
        # Whatever the separator is on the caller's machine.
        subdirectory=subdirectory if isinstance(subdirectory, str) else subdirectory.as_posix(),
        request_id=request_id or _new_request_id(),
    )


def continue_task(task_id: str, prompt: str, request_id: str | None) -> ContinueRequest:
    """Asks for a further run of a task."""
    return ContinueRequest(task_id=task_id, prompt=prompt, request_id=request_id or _new_request_id())


def cancel(task_id: str, request_id: str | None) -> CancelRequest:
    """Asks for a task to be cancelled."""
    return CancelRequest(task_id=task_id, request_id=request_id or _new_request_id())


def update_task(
    task_id: str,
    *,
    title: str | None,
    description: str | None,
    subtasks: Sequence[str | Subtask] | None,
    overrides: RunConfig | None,
    etag: str | None,
    request_id: str | None,
) -> UpdateTaskRequest:
    """Asks for the change of what is not None."""
    return UpdateTaskRequest(
        task_id=task_id,
        title=title,
        description=description,
        subtasks=None if subtasks is None else UpdateTaskRequest.Subtasks(subtasks=_subtasks(subtasks)),
        overrides=overrides,
        etag=etag or "",
        request_id=request_id or _new_request_id(),
    )


def update_subtask(
    task_id: str, number: int, *, completed: bool, etag: str | None, request_id: str | None
) -> UpdateSubtaskRequest:
    """Asks for a subtask to be ticked or not."""
    return UpdateSubtaskRequest(
        task_id=task_id,
        number=number,
        completed=completed,
        etag=etag or "",
        request_id=request_id or _new_request_id(),
    )


def delete_task(task_id: str, request_id: str | None, *, discard_worktree: bool) -> DeleteTaskRequest:
    """Asks for a task to be deleted."""
    return DeleteTaskRequest(
        task_id=task_id, discard_worktree=discard_worktree, request_id=request_id or _new_request_id()
    )


def lift_hold(hold_id: str, request_id: str | None) -> LiftHoldRequest:
    """Asks for a hold to be lifted."""
    return LiftHoldRequest(hold_id=hold_id, request_id=request_id or _new_request_id())


def list_tasks(
    *,
    task_list_id: str | None,
    task_list_ids: Sequence[str],
    states: Sequence[Task.State],
    failure_kinds: Sequence[FailureKind],
    title_contains: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    finished_before: datetime | None,
    order: TaskOrder,
    page_size: int,
    view: TaskView,
) -> ListTasksRequest:
    """Asks for the first page of tasks."""
    return ListTasksRequest(
        task_list_id=task_list_id or "",
        task_list_ids=_several("task_list_ids", task_list_ids),
        states=states,
        failure_kinds=failure_kinds,
        title_contains=title_contains or "",
        created_after=None if created_after is None else _timestamp("created_after", created_after),
        created_before=None if created_before is None else _timestamp("created_before", created_before),
        finished_before=None if finished_before is None else _timestamp("finished_before", finished_before),
        order=order,
        page_size=page_size,
        view=view,
    )


def read_lines(task_id: str, after_line: int, last_lines: int | None, max_lines: int | None) -> ReadLinesRequest:
    """Asks for a part of a task's lines; `last_lines` comes before `after_line`."""
    request = ReadLinesRequest(task_id=task_id, max_lines=max_lines or 0)
    if last_lines is None:
        request.after_line = after_line
    else:
        request.last_lines = last_lines
    return request


def watch_task(task_id: str, after_line: int, heartbeat_interval: float) -> WatchTaskRequest:
    """Asks for a stream of what comes after a line, with a heartbeat every so many seconds."""
    return WatchTaskRequest(
        task_id=task_id,
        after_line=after_line,
        heartbeat_interval=_duration(timedelta(seconds=heartbeat_interval)),
    )


def retry_task(task_id: str, request_id: str | None) -> RetryTaskRequest:
    """Asks for a task to be done from the start."""
    return RetryTaskRequest(task_id=task_id, request_id=request_id or _new_request_id())


def land(
    task_id: str,
    *,
    target_branch: str | None,
    strategy: LandStrategy,
    message: str | None,
    expected_head: str | None,
    commit_uncommitted: bool,
    include_other_commits: bool,
    include_unpublished_submodules: bool,
    request_id: str | None,
) -> LandRequest:
    """Asks for a landing."""
    return LandRequest(
        task_id=task_id,
        target_branch=target_branch or "",
        strategy=strategy,
        message=message or "",
        expected_head=expected_head or "",
        commit_uncommitted=commit_uncommitted,
        include_other_commits=include_other_commits,
        include_unpublished_submodules=include_unpublished_submodules,
        request_id=request_id or _new_request_id(),
    )


def push_branch(
    task_id: str,
    *,
    remote: str,
    remote_branch: str | None,
    force: bool,
    expected_head: str | None,
    request_id: str | None,
) -> PushBranchRequest:
    """Asks for a push."""
    return PushBranchRequest(
        task_id=task_id,
        remote=remote,
        remote_branch=remote_branch or "",
        force=force,
        expected_head=expected_head or "",
        request_id=request_id or _new_request_id(),
    )


def discard_worktree(task_id: str, request_id: str | None, *, dry_run: bool) -> DiscardWorktreeRequest:
    """Asks for a worktree and its branch to be removed."""
    return DiscardWorktreeRequest(task_id=task_id, dry_run=dry_run, request_id=request_id or _new_request_id())


def prune_worktrees(
    task_list_id: str | None, rested_for: timedelta | None, request_id: str | None, *, dry_run: bool
) -> PruneWorktreesRequest:
    """Asks for old worktrees to be removed."""
    return PruneWorktreesRequest(
        task_list_id=task_list_id or "",
        rested_for=None if rested_for is None else _duration(rested_for),
        dry_run=dry_run,
        request_id=request_id or _new_request_id(),
    )


def watch_events(
    after_sequence: int | None, task_list_ids: Sequence[str], kinds: Sequence[Event.Kind], heartbeat_interval: float
) -> WatchEventsRequest:
    """Asks for a stream of the events that come after one, with a heartbeat every so many seconds."""
    return WatchEventsRequest(
        after_sequence=after_sequence,
        task_list_ids=_several("task_list_ids", task_list_ids),
        kinds=kinds,
        heartbeat_interval=_duration(timedelta(seconds=heartbeat_interval)),
    )


def _subtasks(subtasks: Sequence[str | Subtask]) -> list[Subtask]:
    return [
        Subtask(title=subtask) if isinstance(subtask, str) else subtask for subtask in _several("subtasks", subtasks)
    ]


def _timestamp(name: str, value: datetime) -> Timestamp:
    # protobuf would take a naive time for UTC, its owner for local time.
    if value.tzinfo is None:
        raise ValueError(f"{name} has no time zone: make it aware, for instance with datetime.now(UTC).")
    timestamp = Timestamp()
    timestamp.FromDatetime(value)
    return timestamp


def _several(name: str, values: Sequence[T]) -> Sequence[T]:
    # A string is a sequence of strings too, and would silently become one value a character.
    if isinstance(values, str):
        raise TypeError(f"{name} is a list of strings, not one string: put it in brackets.")
    return values


def _new_request_id() -> str:
    # Makes a call safe to repeat after a lost answer, which gRPC's own retries do: see connection.SERVICE_CONFIG.
    return str(uuid.uuid4())


def _command(command: Sequence[str] | str) -> Command:
    return Command(shell=command) if isinstance(command, str) else Command(argv=Argv(values=command))


def _duration(value: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration
