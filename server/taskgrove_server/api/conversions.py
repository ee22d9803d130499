"""Conversions between the domain's words and the wire's."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from taskgrove.v1 import (
    event_pb2,
    failure_pb2,
    hold_pb2,
    run_config_pb2,
    run_pb2,
    task_list_pb2,
    task_pb2,
    task_service_pb2,
)
from taskgrove_server.api.encoded_tasks import View
from taskgrove_server.api.texts import cut, from_time
from taskgrove_server.api.worktree_conversions import from_command, from_settings, from_worktree, to_command, to_span
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.event import Event
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.hold import Hold
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.run import Outcome, Run
from taskgrove_server.domain.task import Subtask, Task, TaskEdit, TaskState
from taskgrove_server.domain.task_list import TaskList

#: Bytes of a prompt or a result that are sent; the whole text is in the store or the log.
LONGEST_TEXT = 262144

#: Bytes of a failure's message in a summary.
SUMMARY_TEXT = 512

_UNSET = RunConfig()

_CONFIG = tuple(field.name for field in fields(RunConfig))
_KINDS = {failure_pb2.FailureKind.Value(f"FAILURE_KIND_{kind.name}"): kind for kind in FailureKind}
_STATES = {task_pb2.Task.State.Value(f"STATE_{state.name}"): state for state in TaskState}


def from_task_list(task_list: TaskList) -> task_list_pb2.TaskList:
    """Returns the wire's list."""
    return task_list_pb2.TaskList(
        id=task_list.id,
        title=task_list.title,
        working_dir=task_list.working_dir or "",
        defaults=from_config(task_list.defaults),
        create_time=from_time(task_list.create_time),
        update_time=from_time(task_list.update_time),
        worktree_settings=from_settings(task_list.worktree_settings),
        etag=task_list.etag,
    )


def from_task(task: Task) -> task_pb2.Task:
    """Returns the wire's task."""
    return task_pb2.Task(
        id=task.id,
        task_list_id=task.task_list_id,
        title=task.title,
        description=task.description,
        subtasks=[task_pb2.Subtask(title=part.title, completed=part.completed) for part in task.subtasks],
        overrides=from_config(task.overrides),
        state=f"STATE_{task.state.name}",
        slot=task.slot or 0,
        cancel_requested=task.cancel_requested,
        result=cut(task.result or "", LONGEST_TEXT),
        failure=_from_failure(task.failure),
        worktree=from_worktree(task.worktree),
        directory=task.directory or "",
        subdirectory=task.subdirectory,
        run_count=task.run_count,
        last_line=task.last_line,
        create_time=from_time(task.create_time),
        update_time=from_time(task.update_time),
        start_time=from_time(task.start_time),
        finish_time=from_time(task.finish_time),
        etag=task.etag,
    )


def from_run(run: Run) -> run_pb2.Run:
    """Returns the wire's run."""
    outcome = run.outcome or Outcome()
    usage = outcome.usage
    return run_pb2.Run(
        id=run.id,
        task_id=run.task_id,
        number=run.number,
        state=f"STATE_{run.state.name}",
        is_retry=run.is_retry,
        prompt=cut(run.prompt, LONGEST_TEXT),
        agent=run.agent,
        model=run.model or "",
        session_id=run.session_id or "",
        log_path="" if run.log_removed else run.log_path,
        first_line=run.first_line,
        line_count=run.line_count,
        result=cut(outcome.result or "", LONGEST_TEXT),
        structured_output=outcome.structured_output or "",
        failure=_from_failure(outcome.failure),
        exit_code=outcome.exit_code,
        turns=usage.turns,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=usage.cost_usd,
        permission_denials=outcome.permission_denials,
        stderr=outcome.stderr,
        repository_changes=outcome.repository_changes,
        log_removed=run.log_removed,
        start_time=from_time(run.start_time),
        finish_time=from_time(run.finish_time),
    )


def summary(task: Task) -> Task:
    """Returns a task without what TASK_VIEW_SUMMARY leaves out."""
    failure = task.failure
    if failure is not None:
        failure = replace(failure, message=cut(failure.message, SUMMARY_TEXT))
    overrides = RunConfig(agent=task.overrides.agent, model=task.overrides.model)
    return replace(task, description="", result=None, overrides=overrides, failure=failure)


def to_filter(request: task_service_pb2.ListTasksRequest) -> TaskFilter:
    """Returns what a validated request wants to see."""
    return TaskFilter(
        task_list_id=TaskListId(request.task_list_id) if request.task_list_id else None,
        states=frozenset(_STATES[state] for state in request.states),
        title_contains=request.title_contains,
        created_after=_to_time(request, "created_after"),
        created_before=_to_time(request, "created_before"),
        failure_kinds=frozenset(_KINDS[kind] for kind in request.failure_kinds),
        finished_before=_to_time(request, "finished_before"),
        task_list_ids=frozenset(map(TaskListId, request.task_list_ids)),
    )


def to_order(order: task_service_pb2.ListTasksRequest.Order) -> Order:
    """Returns the order that a validated request wants."""
    return Order[task_service_pb2.ListTasksRequest.Order.Name(order or 1).removeprefix("ORDER_")]


def to_view(view: task_pb2.TaskView) -> View:
    """Returns the view that a validated request wants."""
    return View[task_pb2.TaskView.Name(view or task_pb2.TASK_VIEW_FULL).removeprefix("TASK_VIEW_")]


def to_edit(request: task_service_pb2.UpdateTaskRequest) -> TaskEdit:
    """Returns the change that a validated request asks for."""
    return TaskEdit(
        title=request.title if request.HasField("title") else None,
        description=request.description if request.HasField("description") else None,
        subtasks=to_subtasks(list(request.subtasks.subtasks)) if request.HasField("subtasks") else None,
        overrides=to_config(request.overrides) if request.HasField("overrides") else None,
    )


def _to_time(request: Message, field: str) -> datetime | None:
    time: datetime = getattr(request, field).ToDatetime(tzinfo=UTC)
    return time if request.HasField(field) else None


def from_config(config: RunConfig) -> run_config_pb2.RunConfig:
    """Returns the wire's config, with the same fields set."""
    if config == _UNSET:
        # As that of most tasks is: to look at each of its fields takes a third of what a task takes.
        return run_config_pb2.RunConfig()
    message = run_config_pb2.RunConfig(allowed_tools=config.allowed_tools, setting_sources=config.setting_sources)
    for name in _CONFIG:
        value = getattr(config, name)
        if isinstance(value, str | int):
            setattr(message, name, value)
        elif isinstance(value, timedelta):
            getattr(message, name).FromTimedelta(value)
    if config.command is not None:
        message.command.CopyFrom(from_command(config.command))
    return message


def to_config(message: run_config_pb2.RunConfig) -> RunConfig:
    """Returns the config of a message that has been validated. A field that is present but empty is unset."""
    return RunConfig(
        agent=message.agent or None,
        model=message.model or None,
        system_prompt=message.system_prompt or None,
        agent_path=message.agent_path or None,
        output_schema=message.output_schema or None,
        permission_mode=message.permission_mode or None,
        allowed_tools=tuple(message.allowed_tools),
        max_turns=message.max_turns or None,
        run_timeout=to_span(message, "run_timeout"),
        command=to_command(message.command) if message.HasField("command") else None,
        stall_timeout=to_span(message, "stall_timeout"),
        linger=to_span(message, "linger"),
        log_limit=message.log_limit or None,
        setting_sources=tuple(message.setting_sources),
    )


def to_subtasks(messages: list[task_pb2.Subtask]) -> tuple[Subtask, ...]:
    """Returns the subtasks of validated messages."""
    return tuple(Subtask(title=message.title, completed=message.completed) for message in messages)


def to_subdirectory(path: str) -> str:
    """Returns a validated path without the parts that lead nowhere; empty for the top."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def from_event(event: Event) -> event_pb2.Event:
    """Returns the wire's event."""
    return event_pb2.Event(
        sequence=event.sequence,
        kind=f"KIND_{event.kind.name}",
        task_id=event.task_id,
        task_list_id=event.task_list_id,
        create_time=from_time(event.create_time),
        task_title=event.task_title,
        task_state=f"STATE_{event.task_state.name}" if event.task_state else None,
        slot=event.slot or 0,
        run_number=event.run_number or 0,
        is_retry=event.is_retry,
        worktree=from_worktree(event.worktree),
        failure_kind=f"FAILURE_KIND_{event.failure_kind.name}" if event.failure_kind else None,
        repository_changes=event.repository_changes,
        hold=from_hold(event.hold) if event.hold else None,
    )


def from_hold(hold: Hold) -> hold_pb2.Hold:
    """Returns the wire's hold."""
    return hold_pb2.Hold(
        id=hold.id,
        kind=f"KIND_{hold.cause.kind.name}",
        subject=hold.cause.subject,
        reason=hold.cause.reason,
        failure_kind=f"FAILURE_KIND_{hold.cause.failure_kind.name}",
        attempts=hold.attempts,
        create_time=from_time(hold.create_time),
        next_try_time=from_time(hold.next_try_time),
    )


def _from_failure(failure: Failure | None) -> failure_pb2.Failure | None:
    if failure is None:
        return None
    return failure_pb2.Failure(
        kind=f"FAILURE_KIND_{failure.kind.name}",
        message=failure.message,
        retryable=failure.retryable,
        http_status=failure.http_status,
        retry_time=from_time(failure.retry_time),
    )
