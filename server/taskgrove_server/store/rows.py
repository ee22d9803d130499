"""Conversions between rows and the domain's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import Command, RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.hold import Cause, Hold, HoldId, HoldKind
from taskgrove_server.domain.run import Outcome, Run, RunState, Usage
from taskgrove_server.domain.task import Subtask, Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import CleanUp, Landing, LandStrategy, Worktree, WorktreeSettings, WorktreeState
from taskgrove_server.store import data_paths

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_WORKTREE = tuple(field.name for field in fields(Worktree))
_TASK_LIST = tuple(field.name for field in fields(TaskList))
_TASK = tuple(field.name for field in fields(Task) if field.name != "worktree")

_USAGE = tuple(field.name for field in fields(Usage))
_OUTCOME = tuple(field.name for field in fields(Outcome) if field.name not in ("cancelled", "usage"))
#: The id of the session is of both.
_RUN = tuple(dict.fromkeys((*(field.name for field in fields(Run) if field.name != "outcome"), *_OUTCOME, *_USAGE)))

#: What a statement selects of runs for `to_run`.
RUN_COLUMNS = ", ".join(_RUN)

#: What a statement selects of lists for `to_task_list`.
TASK_LIST_COLUMNS = ", ".join(_TASK_LIST)

#: What a statement selects of tasks, each joined to its worktree if it has one, for `to_task`.
TASK_COLUMNS = ", ".join([*(f"task.{name}" for name in _TASK), *(f"worktree.{name}" for name in _WORKTREE)])

#: The fields of a config that hold a span of time.
_DURATIONS = {"run_timeout", "stall_timeout", "linger"}
_LISTS = frozenset({"allowed_tools", "setting_sources"})

#: What is written of a config, or of settings, in which nothing is set.
_NOTHING = "{}"


def from_time(value: datetime) -> int:
    """Returns microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND


def end_time(start: datetime | None) -> int:
    """Returns the present time for what began at `start`; a clock that was set back ends nothing before it began."""
    now = clock.now()
    return from_time(now if start is None else max(now, start))


def to_time(value: int) -> datetime:
    """Returns an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def _to_time_or_none(value: int | None) -> datetime | None:
    return None if value is None else to_time(value)


def _from_path(path: str | None) -> str | None:
    return None if path is None else data_paths.stored(path)


def _to_path(path: str | None) -> str | None:
    return None if path is None else data_paths.absolute(path)


def from_config(config: RunConfig) -> str:
    """Returns the fields that are set, as JSON."""
    values: dict[str, Any] = {
        field.name: value for field in fields(RunConfig) if (value := getattr(config, field.name))
    }
    for name in _DURATIONS & values.keys():
        values[name] = values[name].total_seconds()
    if config.command:
        values["command"] = asdict(config.command)
    return json.dumps(values, ensure_ascii=False)


def to_config(text: str) -> RunConfig:
    """Reads what from_config wrote."""
    if text == _NOTHING:
        return RunConfig()
    values: dict[str, Any] = json.loads(text)
    for name in _LISTS & values.keys():
        values[name] = tuple(values[name])
    for name in _DURATIONS & values.keys():
        values[name] = timedelta(seconds=values[name])
    if "command" in values:
        values["command"] = _to_command(values["command"])
    return RunConfig(**values)


def from_failure(failure: Failure | None) -> str | None:
    """Returns a failure as JSON."""
    if failure is None:
        return None
    values = asdict(failure)
    if failure.retry_time is not None:
        values["retry_time"] = from_time(failure.retry_time)
    return json.dumps(values, ensure_ascii=False)


def to_failure(text: str | None) -> Failure | None:
    """Reads what from_failure wrote."""
    if text is None:
        return None
    values: dict[str, Any] = json.loads(text)
    values["kind"] = FailureKind(values["kind"])
    values["retry_time"] = _to_time_or_none(values["retry_time"])
    return Failure(**values)


def from_hold(hold: Hold) -> dict[str, Any]:
    """Returns the columns of a hold."""
    cause = hold.cause
    return {
        "id": hold.id,
        "kind": cause.kind.value,
        "subject": cause.subject,
        "reason": cause.reason,
        "failure_kind": cause.failure_kind.value,
        "attempts": hold.attempts,
        "ends": from_time(cause.ends) if cause.ends else None,
        "create_time": from_time(hold.create_time),
        "failed_time": from_time(hold.failed_time),
        "next_try_time": from_time(hold.next_try_time),
    }


def to_hold(columns: dict[str, Any]) -> Hold:
    """Returns the hold of its columns."""
    kind, ends = FailureKind(columns["failure_kind"]), _to_time_or_none(columns["ends"])
    return Hold(
        id=HoldId(columns["id"]),
        cause=Cause(HoldKind(columns["kind"]), columns["subject"], columns["reason"], kind, ends),
        attempts=columns["attempts"],
        create_time=to_time(columns["create_time"]),
        failed_time=to_time(columns["failed_time"]),
        next_try_time=to_time(columns["next_try_time"]),
    )


def from_subtasks(subtasks: tuple[Subtask, ...]) -> str:
    """Returns subtasks as JSON."""
    return json.dumps([asdict(subtask) for subtask in subtasks], ensure_ascii=False)


def from_worktree(worktree: Worktree) -> dict[str, Any]:
    """Returns the columns of a worktree."""
    return {
        **{name: getattr(worktree, name) for name in _WORKTREE},
        "path": data_paths.stored(worktree.path),
        "setup_log_path": _from_path(worktree.setup_log_path),
        "state": worktree.state.value,
        "landing": from_landing(worktree.landing) if worktree.landing else None,
        "copied_files": json.dumps(worktree.copied_files, ensure_ascii=False),
    }


def worktree_from(columns: dict[str, Any]) -> Worktree:
    """Returns the worktree of its columns, of which those that came later may be missing."""
    values = dict(columns)
    values["path"] = data_paths.absolute(columns["path"])
    values["setup_log_path"] = _to_path(columns.get("setup_log_path"))
    values["state"] = WorktreeState(columns.get("state", WorktreeState.PRESENT))
    values["landing"] = to_landing(columns["landing"]) if columns.get("landing") else None
    values["copied_files"] = tuple(json.loads(columns.get("copied_files", "[]")))
    return Worktree(**values)


def from_landing(landing: Landing) -> str:
    """Returns a landing as JSON."""
    return json.dumps({**asdict(landing), "land_time": from_time(landing.land_time)}, ensure_ascii=False)


def to_landing(text: str) -> Landing:
    """Reads what from_landing wrote."""
    values: dict[str, Any] = json.loads(text)
    values["strategy"] = LandStrategy(values["strategy"])
    values["land_time"] = to_time(values["land_time"])
    return Landing(**values)


def from_worktree_settings(settings: WorktreeSettings) -> str:
    """Returns what is set, as JSON."""
    values: dict[str, Any] = {
        "base_branch": settings.base_branch,
        "branch_prefix": settings.branch_prefix,
        "copied_files": settings.copied_files,
        "setup_command": asdict(settings.setup_command) if settings.setup_command else None,
        "setup_timeout": _from_span(settings.setup_timeout),
        "landed_after": _from_span(settings.clean_up.landed_after),
        "rested_after": _from_span(settings.clean_up.rested_after),
    }
    return json.dumps(
        {name: value for name, value in values.items() if value not in (None, "", ())}, ensure_ascii=False
    )


def to_worktree_settings(text: str) -> WorktreeSettings:
    """Reads what from_worktree_settings wrote."""
    if text == _NOTHING:
        return WorktreeSettings()
    values: dict[str, Any] = json.loads(text)
    return WorktreeSettings(
        base_branch=values.get("base_branch", ""),
        branch_prefix=values.get("branch_prefix", ""),
        copied_files=tuple(values.get("copied_files", ())),
        setup_command=_to_command(values["setup_command"]) if "setup_command" in values else None,
        setup_timeout=_to_span(values.get("setup_timeout")),
        clean_up=CleanUp(
            landed_after=_to_span(values.get("landed_after")), rested_after=_to_span(values.get("rested_after"))
        ),
    )


def _from_span(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _to_span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _to_command(values: dict[str, Any]) -> Command:
    return Command(argv=tuple(values["argv"]), shell=values["shell"])


def to_task_list(values: Sequence[Any]) -> TaskList:
    """Returns the list of the values of TASK_LIST_COLUMNS."""
    row = dict(zip(_TASK_LIST, values, strict=True))
    return TaskList(
        id=ids.TaskListId(row["id"]),
        title=row["title"],
        working_dir=row["working_dir"],
        defaults=to_config(row["defaults"]),
        worktree_settings=to_worktree_settings(row["worktree_settings"]),
        create_time=to_time(row["create_time"]),
        update_time=to_time(row["update_time"]),
    )


def to_task(values: Sequence[Any]) -> Task:
    """Returns the task of the values of TASK_COLUMNS."""
    row = dict(zip(_TASK, values, strict=False))
    worktree = dict(zip(_WORKTREE, values[len(_TASK) :], strict=True))
    return Task(
        id=ids.TaskId(row["id"]),
        task_list_id=ids.TaskListId(row["task_list_id"]),
        title=row["title"],
        description=row["description"],
        subtasks=tuple(Subtask(**one) for one in json.loads(row["subtasks"])),
        overrides=to_config(row["overrides"]),
        state=TaskState(row["state"]),
        create_time=to_time(row["create_time"]),
        update_time=to_time(row["update_time"]),
        slot=row["slot"],
        cancel_requested=bool(row["cancel_requested"]),
        settling=bool(row["settling"]),
        next_prompt=row["next_prompt"],
        restart=bool(row["restart"]),
        result=row["result"],
        failure=to_failure(row["failure"]),
        worktree=None if worktree["path"] is None else worktree_from(worktree),
        subdirectory=row["subdirectory"],
        directory=_to_path(row["directory"]),
        run_count=row["run_count"],
        last_line=row["last_line"],
        removed_lines=row["removed_lines"],
        hold_time=_to_time_or_none(row["hold_time"]),
        start_time=_to_time_or_none(row["start_time"]),
        finish_time=_to_time_or_none(row["finish_time"]),
    )


def from_outcome(outcome: Outcome) -> dict[str, Any]:
    """Returns the columns of a run that its outcome fills."""
    return {
        "state": outcome.state.value,
        "session_id": outcome.session_id,
        "result": outcome.result,
        "structured_output": outcome.structured_output,
        "failure": from_failure(outcome.failure),
        "exit_code": outcome.exit_code,
        "permission_denials": json.dumps(outcome.permission_denials, ensure_ascii=False),
        "stderr": outcome.stderr,
        "repository_changes": json.dumps(outcome.repository_changes, ensure_ascii=False),
        "answered": outcome.answered,
        **asdict(outcome.usage),
    }


def _to_outcome(row: dict[str, Any]) -> Outcome | None:
    if row["state"] == RunState.RUNNING:
        return None
    return Outcome(
        failure=to_failure(row["failure"]),
        cancelled=row["state"] == RunState.CANCELLED,
        session_id=ids.SessionId(row["session_id"]) if row["session_id"] else None,
        result=row["result"],
        structured_output=row["structured_output"],
        exit_code=row["exit_code"],
        usage=Usage(**{name: row[name] for name in _USAGE}),
        permission_denials=tuple(json.loads(row["permission_denials"])),
        stderr=row["stderr"],
        repository_changes=tuple(json.loads(row["repository_changes"])),
        answered=bool(row["answered"]),
    )


def to_run(values: Sequence[Any]) -> Run:
    """Returns the run of the values of RUN_COLUMNS."""
    row = dict(zip(_RUN, values, strict=True))
    return Run(
        id=ids.RunId(row["id"]),
        task_id=ids.TaskId(row["task_id"]),
        number=row["number"],
        is_retry=bool(row["is_retry"]),
        prompt=row["prompt"],
        agent=row["agent"],
        model=row["model"],
        session_id=ids.SessionId(row["session_id"]) if row["session_id"] else None,
        resumes=bool(row["resumes"]),
        config=None if row["config"] is None else to_config(row["config"]),
        log_path=data_paths.absolute(row["log_path"]),
        first_line=row["first_line"],
        start_time=to_time(row["start_time"]),
        state=RunState(row["state"]),
        outcome=_to_outcome(row),
        line_count=row["line_count"],
        log_size=row["log_size"],
        log_lost=bool(row["log_lost"]),
        log_removed=bool(row["log_removed"]),
        finish_time=_to_time_or_none(row["finish_time"]),
    )
