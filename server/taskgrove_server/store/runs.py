"""Queries about runs."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from taskgrove_server.domain import clock, log_names
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.ids import RunId, SessionId, TaskId
from taskgrove_server.domain.run import Outcome, Run, RunState
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.store import data_paths, events, models, rows, task_rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Names of ours alone.
_SELECT = f"SELECT {rows.RUN_COLUMNS} FROM run"  # noqa: S608

#: The number of a task's last run, and that of the line behind it.
_LAST = "SELECT number, first_line + line_count FROM run WHERE task_id = ? ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run before its process starts."""

    id: RunId
    task_id: TaskId
    is_retry: bool
    prompt: str
    agent: str
    model: str | None
    session_id: SessionId
    resumes: bool
    config: RunConfig
    directory: str
    worktree: Worktree | None


class Runs:
    """The stored runs. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def begin(self, new: NewRun, log_directory: str) -> Future[Run | None]:
        """Records a run as the task's next, which is running then, and uses up the prompt of a Continue.

        Its lines are numbered after those of the run before. None after a cancel, and then nothing is recorded.
        """

        def change(changed: Changed) -> Run | None:
            task = task_rows.get(new.task_id)
            if task.cancel_requested:
                return None
            now = rows.from_time(clock.now())
            last_number, first_line = models.run(_LAST, new.task_id).fetchone() or (0, 1)
            number = last_number + 1
            columns = {
                "id": new.id,
                "task_id": new.task_id,
                "number": number,
                "state": RunState.RUNNING.value,
                "is_retry": new.is_retry,
                "prompt": new.prompt,
                "agent": new.agent,
                "model": new.model,
                "session_id": new.session_id,
                "resumes": new.resumes,
                "config": rows.from_config(new.config),
                "log_path": data_paths.stored(f"{log_directory}/{log_names.of_run(new.task_id, number)}"),
                "first_line": first_line,
                "start_time": now,
            }
            models.add("run", columns)
            begins = task.state is TaskState.QUEUED
            values = {"start_time": now} if begins else {}
            task_rows.update(
                changed,
                new.task_id,
                state=TaskState.RUNNING.value,
                directory=data_paths.stored(new.directory),
                run_count=number,
                next_prompt=None,
                restart=False,
                update_time=now,
                **values,
            )
            moved = new.worktree is not None and _record_worktree(task, new.worktree)
            begun = task_rows.get(new.task_id)
            if begins:
                events.record(changed, EventKind.TASK_STARTED, begun)
            if moved:
                events.record(changed, EventKind.WORKTREE_UPDATED, begun)
            events.record(changed, EventKind.RUN_CREATED, begun, run_number=number, is_retry=new.is_retry)
            return _latest(new.task_id)

        return self._writer.submit(change)

    def finish(
        self, run: Run, outcome: Outcome, line_count: int, log_size: int, *, log_lost: bool = False
    ) -> Future[Run]:
        """Closes a run: once only, a later call changes nothing. `log_size` is in bytes.

        A failure that comes after a cancel is none: the task rests as cancelled, and so does its run.
        """

        def change(changed: Changed) -> Run:
            what = outcome
            if outcome.failure is not None and task_rows.get(run.task_id).cancel_requested:
                what = replace(outcome, failure=None, cancelled=True, exit_code=-1)
            columns = {
                "line_count": line_count,
                "log_size": log_size,
                "log_lost": log_lost,
                "finish_time": rows.end_time(run.start_time),
                **rows.from_outcome(what),
            }
            if models.change("run", columns, "id = ? AND state = ?", run.id, RunState.RUNNING.value):
                task_rows.update(changed, run.task_id, last_line=run.first_line - 1 + line_count)
                task = task_rows.get(run.task_id)
                events.record(changed, EventKind.TASK_UPDATED, task)
                if told := outcome.repository_changes:
                    events.record(
                        changed, EventKind.REPOSITORY_CHANGED, task, run_number=run.number, repository_changes=told
                    )
            return _select("WHERE id = ?", run.id)[0]

        return self._writer.submit(change)

    @reading()
    def latest(self, task_id: TaskId) -> Run | None:
        """Returns the task's last run."""
        return _latest(task_id)

    @reading()
    def page(self, task_id: TaskId, after: int, size: int) -> list[Run]:
        """Returns up to `size` runs of a task in order, from above the number `after`."""
        return _select("WHERE task_id = ? AND number > ? ORDER BY number LIMIT ?", task_id, after, size)

    @reading()
    def holding(self, task_id: TaskId, line: int) -> Run | None:
        """Returns the last run of a task that starts at or before a line: the one that holds it, if any does."""
        return _first("WHERE task_id = ? AND first_line <= ? ORDER BY number DESC", task_id, line)

    @reading()
    def of_session(self, task_id: TaskId, session_id: SessionId) -> Run | None:
        """Returns the run with which a session of a task began; None when no run has had it."""
        return _first("WHERE task_id = ? AND session_id = ? ORDER BY number", task_id, session_id)

    @reading()
    def session_cost(self, run: Run) -> float:
        """Returns what a run's session had cost in US dollars before the run."""
        query = models.Run.select(models.Run.session_cost_usd).where(
            models.Run.task_id == run.task_id,
            models.Run.session_id == run.session_id,
            models.Run.number < run.number,
            models.Run.session_cost_usd.is_null(False),
        )
        row: models.Run | None = query.order_by(models.Run.number.desc()).first()
        return (row.session_cost_usd or 0.0) if row else 0.0

    @reading()
    def resumable(self, task_id: TaskId) -> Run | None:
        """Returns the task's last run that left a session."""
        return resumable(task_id)


def _record_worktree(task: Task, worktree: Worktree) -> bool:
    """Stores the worktree of a task; tells whether it is another than before."""
    if task.worktree == worktree:
        return False
    columns = rows.from_worktree(worktree)
    if task.worktree is None:
        models.add("worktree", {"task_id": task.id, **columns})
    else:
        models.change("worktree", columns, "task_id = ?", task.id)
    return True


def resumable(task_id: TaskId) -> Run | None:
    """Returns the task's last run that left a session, in whatever transaction there is."""
    return _first("WHERE task_id = ? AND session_id IS NOT NULL ORDER BY number DESC", task_id)


def _latest(task_id: TaskId) -> Run | None:
    return _first("WHERE task_id = ? ORDER BY number DESC", task_id)


def _first(clauses: str, *parameters: Any) -> Run | None:
    found = _select(f"{clauses} LIMIT 1", *parameters)
    return found[0] if found else None


def _select(clauses: str, *parameters: Any) -> list[Run]:
    """Returns the runs that a statement finds, of which `clauses` is what follows after the table."""
    return [rows.to_run(values) for values in models.run(f"{_SELECT} {clauses}", *parameters)]
