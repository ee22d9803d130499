"""What the runner does to tasks: claims them for slots, and brings them to rest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL, Value, fn

from taskgrove_server.domain import clock
from taskgrove_server.domain.config import DEFAULT_AGENT
from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.hold import Cause, HoldKind
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.store import events, holds, models, rows, task_rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Which tasks a slot may take. To the letter the condition of the index task_queue, with no parameter in it:
#: otherwise SQLite does not use the index.
CLAIMABLE = SQL("state = 'queued' AND slot IS NULL")

# A condition of ours alone.
_COUNT = f"SELECT COUNT(*) FROM (SELECT 1 FROM task WHERE {CLAIMABLE.sql} LIMIT ?)"  # noqa: S608
_NEXT = f"SELECT id FROM task WHERE {CLAIMABLE.sql} ORDER BY queue_order LIMIT 1"  # noqa: S608
_WAITS = f"SELECT 1 FROM task WHERE {CLAIMABLE.sql} AND id = ?"  # noqa: S608

_CANCELLED = "SELECT id FROM task WHERE id IN (SELECT value FROM json_each(?)) AND cancel_requested"

#: The agent that a task itself asks for. To the letter that of the index task_tries, which saves reading every row.
_AGENT = SQL("json_extract(overrides, '$.agent')")


@dataclass(frozen=True, slots=True)
class Held:
    """What tasks that are held back depend on, and the time `now` at which they are."""

    now: datetime
    #: There is no hold at all, of whatever kind.
    nothing: bool
    agents: frozenset[str]
    #: Repositories.
    directories: frozenset[str]
    #: What is held as well, and may be tried: agents, repositories, or what everybody depends on.
    tried_agents: frozenset[str] = frozenset()
    tried_directories: frozenset[str] = frozenset()
    all_try: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that waits for a slot, and what it depends on, as far as that had to be looked at."""

    task_id: TaskId
    agent: str = ""
    directory: str = ""


class _Needs:
    """What the tasks of a list depend on, unless they say otherwise."""

    def __init__(self, row: models.TaskList) -> None:
        self.agent = rows.to_config(row.defaults).agent or DEFAULT_AGENT
        self.directory: str = row.working_dir or ""


class Slots:
    """The tasks from a claim to their rest. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @reading()
    def next(self, held: Held) -> Waiting | None:
        """Returns the task that waits longest of those that nothing holds back; None when there is none.

        Of those that try something which is held, it is the one that was put back least often, so that a task for
        whose own fault there is a hold is not the only one that tries. All others keep their order meanwhile.
        """
        if held.nothing:
            first = models.run(_NEXT).fetchone()
            return None if first is None else Waiting(TaskId(first[0]))
        task, hold = models.Task, models.Hold
        lists = {TaskListId(row.id): _Needs(row) for row in models.TaskList.select()}
        closed = [one for one, needs in lists.items() if needs.directory in held.directories]
        by_default = [one for one, needs in lists.items() if needs.agent in held.agents]
        now = rows.from_time(held.now)
        own = hold.select().where(
            hold.id == Value(f"{HoldKind.TASK}:").concat(task.id), hold.failed_time <= now, hold.next_try_time > now
        )
        query = task.select(task.id, task.task_list_id, task.queue_order, _AGENT.alias("agent")).where(
            CLAIMABLE,
            task.task_list_id.not_in(closed),
            (_AGENT.is_null() & task.task_list_id.not_in(by_default)) | _AGENT.not_in(list(held.agents)),
            ~fn.EXISTS(own),
        )
        least, oldest = query.order_by(task.hold_count, task.queue_order), query.order_by(task.queue_order)
        if held.all_try:
            row = least.dicts().first()
        else:
            tries = _tries(held, lists)
            found = (least.where(tries == 1).dicts().first(), oldest.where(tries == 0).dicts().first())
            row = min(filter(None, found), key=lambda row: row["queue_order"], default=None)
        if row is None:
            return None
        needs = lists.get(row["task_list_id"])
        agent = row["agent"] or (needs.agent if needs else DEFAULT_AGENT)
        return Waiting(TaskId(row["id"]), agent, needs.directory if needs else "")

    def claim(self, task_id: TaskId, slot: int) -> Future[Task | None]:
        """Gives the slot to a task that waits; None when it waits no longer."""

        def change(changed: Changed) -> Task | None:
            if models.run(_WAITS, task_id).fetchone() is None:
                return None
            task_rows.update(changed, task_id, slot=slot)
            return task_rows.get(task_id)

        return self._writer.submit(change)

    def reclaim(self, task_id: TaskId, slot: int) -> Future[Task]:
        """Gives a slot of this server to a task that a slot of an earlier server held."""

        def change(changed: Changed) -> Task:
            task_rows.update(changed, task_id, slot=slot)
            return task_rows.get(task_id)

        return self._writer.submit(change)

    def requeue(self, task_id: TaskId) -> Future[Task]:
        """Takes a task that holds a slot but has nothing running back to its place in the queue.

        One that was cancelled meanwhile rests instead.
        """
        return self._writer.submit(lambda changed: _requeue(changed, task_id))

    def put_back(self, task_id: TaskId, cause: Cause, first_pause: timedelta) -> Future[Task]:
        """As `requeue`, and has what the task depends on held: it begins to be, or goes on.

        A task that was cancelled meanwhile rests instead, and nothing is held for it.
        """

        def change(changed: Changed) -> Task:
            if task_rows.get(task_id).cancel_requested:
                return _rest(changed, task_id, TaskState.CANCELLED)
            holds.begin(changed, cause, first_pause)
            models.run("UPDATE task SET hold_count = hold_count + 1 WHERE id = ?", task_id)
            return _requeue(changed, task_id, hold_time=rows.from_time(clock.now()))

        return self._writer.submit(change)

    def settle(self, task_id: TaskId) -> Future[bool]:
        """Shuts the door to Cancel after the agent's success; False when a cancel came first.

        This is the one place where the race between a success and a cancel is decided.
        """

        def change(changed: Changed) -> bool:
            task = task_rows.get(task_id)
            if task.cancel_requested:
                return False
            task_rows.update(changed, task_id, settling=True)
            return True

        return self._writer.submit(change)

    def rest(
        self,
        task_id: TaskId,
        state: TaskState,
        *,
        result: str | None = None,
        failure: Failure | None = None,
        head_commit: str | None = None,
    ) -> Future[Task]:
        """Writes the terminal state, and frees the slot. Once only: on a task at rest it changes nothing.

        A cancel that was accepted wins over whatever `state` says.
        """

        def change(changed: Changed) -> Task:
            return _rest(changed, task_id, state, result=result, failure=failure, head_commit=head_commit)

        return self._writer.submit(change)

    @reading()
    def waiting(self, most: int) -> int:
        """Counts the tasks that wait for a slot, up to `most`."""
        found: int = models.run(_COUNT, most).fetchone()[0]
        return found

    @reading()
    def cancelled(self, task_ids: Iterable[TaskId]) -> list[TaskId]:
        """Returns which of these tasks are to be cancelled."""
        return [TaskId(task_id) for (task_id,) in models.run(_CANCELLED, json.dumps(list(task_ids)))]

    @reading()
    def holding(self) -> list[Task]:
        """Returns the tasks that hold a slot, which after a restart are those to be taken up again."""
        return task_rows.select("WHERE task.slot IS NOT NULL ORDER BY task.queue_order")


def _tries(held: Held, lists: dict[TaskListId, _Needs]) -> Any:
    """Returns an expression: 1 for tasks that depend on what is held and may be tried, 0 for others."""
    task = models.Task
    there = [one for one, needs in lists.items() if needs.directory in held.tried_directories]
    by_default = [one for one, needs in lists.items() if needs.agent in held.tried_agents]
    needs_agent = (_AGENT.is_null() & task.task_list_id.in_(by_default)) | _AGENT.in_(list(held.tried_agents))
    return fn.IFNULL(task.task_list_id.in_(there) | needs_agent, 0)


def _requeue(changed: Changed, task_id: TaskId, **values: Any) -> Task:
    if task_rows.get(task_id).cancel_requested:
        return _rest(changed, task_id, TaskState.CANCELLED)
    task_rows.update(changed, task_id, state=TaskState.QUEUED.value, slot=None, start_time=None, **values)
    task = task_rows.get(task_id)
    events.record(changed, EventKind.TASK_QUEUED, task)
    return task


def _rest(
    changed: Changed,
    task_id: TaskId,
    state: TaskState,
    *,
    result: str | None = None,
    failure: Failure | None = None,
    head_commit: str | None = None,
) -> Task:
    task = task_rows.get(task_id)
    if task.state.rests:
        return task
    cancelled = task.cancel_requested and not task.settling
    values: dict[str, Any] = {
        "state": (TaskState.CANCELLED if cancelled else state).value,
        "failure": None if cancelled else rows.from_failure(failure),
        "slot": None,
        "settling": False,
        "next_prompt": None,
        "restart": False,
        "hold_count": 0,
        "hold_time": None,
        "finish_time": rows.end_time(task.start_time),
    }
    if state is TaskState.SUCCEEDED and not cancelled:
        values["result"] = result
    task_rows.update(changed, task_id, **values)
    if head_commit is not None:
        models.change("worktree", {"head_commit": head_commit}, "task_id = ?", task_id)
    task = task_rows.get(task_id)
    if head_commit is not None:
        events.record(changed, EventKind.WORKTREE_UPDATED, task)
    events.record(changed, EventKind.TASK_FINISHED, task)
    holds.end_of(changed, task_id)
    return task
