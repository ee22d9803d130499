"""Puts tasks back that met something which passes, has it held, and says who may try meanwhile.

    a task meets it --> put back, and a hold begins --> after a pause one task tries --> its agent lives, or answers
                              ^                                   |                               |
                              +------------ not yet --------------+                 the hold ends, all others follow

Holds are stored; what is known here besides, who tries and who got through, is found out again after a restart.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskgrove_server.agents.registry import Registry
from taskgrove_server.domain import clock, errors, shortages
from taskgrove_server.domain.failures import Failure, FailureKind, Retry
from taskgrove_server.domain.hold import Cause, Hold, HoldId, HoldKind, hold_id
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Run
from taskgrove_server.domain.shortages import Shortage
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.runner.insisting import insist
from taskgrove_server.runner.mailbox import Mailbox
from taskgrove_server.runner.shortages import has_no_room
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.slots import Held, Waiting
from taskgrove_server.store.store import Store

log = logging.getLogger(__name__)

#: Seconds after which a task that tries, and has neither failed nor got through, is joined by another: it may be busy
#: with its setup, or with what prints nothing. A model may think for long before it answers.
_PATIENCE = 10.0
_PATIENCE_FOR_ANSWERS = 120.0

#: How often an agent may refuse a task alone before that rests as failed: a login that comes and goes, or a provider
#: that answers some and refuses others, looks the same for a while.
_REFUSALS = 4

#: What may concern one task alone, such as a limit of its model, and passes all the same.
_ALONE = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})


class PutBack(Exception):
    """What a task was about to do cannot be done at the moment, and nothing of it was recorded."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.reason)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Try:
    """A task that finds out whether something is to be had again; `start` is by the monotonic clock."""

    task_id: TaskId
    start: float


@dataclass(frozen=True, slots=True)
class _Met:
    """What a task last met at an agent: an answer, or a refusal."""

    answer: bool
    time: datetime


class Holding:
    """Knows what is held. `first_pause` is that before the first try."""

    def __init__(self, store: Store, agents: Registry, space: FreeSpace, first_pause: timedelta) -> None:
        self._store = store
        self._agents = agents
        self._space = space
        self._first_pause = first_pause
        self._lock = threading.Lock()
        #: As they were when last looked at.
        self._holds: dict[HoldId, Hold] = {}
        self._tries: dict[HoldId, _Try] = {}
        #: The two tasks that each agent has answered or refused last: of one task alone nothing can be said about
        #: others.
        self._met: dict[str, dict[TaskId, _Met]] = {}

    def renew(self) -> None:
        """Reckons anew when tasks try again: an earlier server may have made other pauses."""
        try:
            self._store.holds.reckon(self._first_pause).result()
        except errors.StoreUnavailable as error:
            log.warning("Tasks that are held try again when the earlier server meant them to: %s", error)

    def next(self) -> Waiting | None:
        """Returns the task that is to be claimed next; None when none waits that nothing holds back."""
        holds = self._store.holds.all()
        now = clock.now()
        with self._lock:
            self._holds = {hold.id: hold for hold in holds}
            closed = [hold for hold in holds if not hold.is_due(now) or self._is_tried(hold)]
        if {hold.id for hold in closed} & self._of_all():
            return None
        tried = [hold for hold in holds if hold not in closed]
        held = Held(
            now=now,
            nothing=not holds,
            agents=_subjects(closed, HoldKind.AGENT),
            directories=_subjects(closed, HoldKind.DISK),
            tried_agents=_subjects(tried, HoldKind.AGENT),
            tried_directories=_subjects(tried, HoldKind.DISK),
            all_try=bool({hold.id for hold in tried} & self._of_all()),
        )
        return self._store.slots.next(held)

    def claimed(self, waiting: Waiting) -> None:
        """Notes that a task was claimed, which tries what it depends on of what is held."""
        needed = self._of_all() | {hold_id(HoldKind.AGENT, waiting.agent), hold_id(HoldKind.DISK, waiting.directory)}
        with self._lock:
            for held in needed & self._holds.keys():
                self._tries[held] = _Try(waiting.task_id, time.monotonic())

    def left(self, task_id: TaskId) -> None:
        """Notes that a task has left its slot: another may try, if it has not got through."""
        with self._lock:
            for held in [held for held, tried in self._tries.items() if tried.task_id == task_id]:
                del self._tries[held]

    def put_back(self, task: Task, cause: Cause, mailbox: Mailbox) -> None:
        """Takes a task back to its place in the queue, and has held what it met."""
        put_back = insist(lambda: self._store.slots.put_back(task.id, cause, self._first_pause).result(), mailbox)
        log.warning(
            "Task %s is %s again, with %s held: %s",
            task.id,
            put_back.state,
            cause.hold_id,
            cause.reason.partition("\n")[0],
        )

    def signs(self, task: Task, task_list: TaskList | None, agent: str) -> Signs:
        """Returns what the run of a task tells by what it does."""
        return Signs(self, task.id, agent, (task_list and task_list.working_dir) or "")

    def passed(self, *held: HoldId) -> None:
        """Ends those of some holds that there are. Does not wait for it."""
        with self._lock:
            known = frozenset(held) & self._holds.keys()
        if known:
            # The server may be about to end: its successor finds out by itself.
            with contextlib.suppress(errors.StoreUnavailable):
                self._store.holds.end(known)

    def machine_works(self, repository: str) -> None:
        """Notes that there was everything that it takes to have a process running."""
        self.passed(*self._of_all(), hold_id(HoldKind.DISK, repository))

    def agent_works(self, agent: str, task_id: TaskId) -> None:
        """Notes that an agent has answered for a task."""
        self._note(agent, task_id, answer=True)
        self.passed(hold_id(HoldKind.AGENT, agent), hold_id(HoldKind.TASK, task_id))

    def cause_of(self, task: Task, task_list: TaskList | None, run: Run) -> Cause | None:
        """Returns what a run has failed for that is none of its task's fault; None when the task is to rest."""
        failure = run.outcome.failure if run.outcome else None
        if failure is None:
            return None
        if self.is_held(run):
            return self._of_held(task, task_list, run, failure)
        if failure.automatic is Retry.RESUME_LATER and not run.is_retry:
            return _of_failure(HoldKind.TASK, task.id, failure)
        if failure.automatic is Retry.RESUME_WITH_ROOM and not run.is_retry and self._space.may_be_short():
            return _of_failure(HoldKind.DISK, str(self._space.directory), failure)
        return None

    def _of_held(self, task: Task, task_list: TaskList | None, run: Run, failure: Failure) -> Cause | None:
        if failure.kind is FailureKind.MACHINE:
            known = shortages.of_words(failure.message)
            return self.of_shortage(known or Shortage.MACHINE, failure.message, task, task_list)
        if failure.of_model:
            # Which others ask for the same model is not known before they do.
            return _of_failure(HoldKind.TASK, task.id, failure)
        suspected = self._refusals_alone(task, run)
        if not (run.outcome and run.outcome.answered):
            self._note(run.agent, task.id, answer=False)
        if suspected is None:
            return _of_failure(HoldKind.AGENT, run.agent, failure)
        waits = failure.kind in _ALONE or suspected < _REFUSALS
        return _of_failure(HoldKind.TASK, task.id, failure) if waits else None

    def is_held(self, run: Run) -> bool:
        """Tells whether a run failed for something that its task is not to blame for, so that no retry is used up."""
        failure = run.outcome.failure if run.outcome else None
        if failure is None:
            return False
        if failure.automatic is Retry.RESUME_LATER:
            return self._serves_many(run.agent)
        return failure.automatic is Retry.HELD

    def of_refusal(self, agent: str, failure: Failure) -> Cause | None:
        """Returns why a run could not even begin, if that is none of its task's fault."""
        held = failure.automatic is Retry.HELD and self._serves_many(agent)
        return _of_failure(HoldKind.AGENT, agent, failure) if held else None

    def of_shortage(self, short: Shortage, message: str, task: Task, task_list: TaskList | None) -> Cause:
        """Returns what is to be held when something is short for a task."""
        if short is Shortage.PROGRAM:
            return Cause(HoldKind.TASK, task.id, message, FailureKind.MACHINE)
        if short is Shortage.ROOM:
            directory = self._fuller(task_list.working_dir if task_list else None)
            reason = f"The disk of {directory} has no room. {message}"
            return Cause(HoldKind.DISK, directory, reason, FailureKind.MACHINE)
        return Cause(HoldKind.MACHINE, "", message, FailureKind.MACHINE)

    def _serves_many(self, agent: str) -> bool:
        """Tells whether an agent has one program and one account for all; commands are programs of their own."""
        return self._agents.find(agent).capabilities.models

    def _fuller(self, repository: str | None) -> str:
        """Returns the directory whose disk it was that had no room."""
        # When neither is full by now, rather the one of which fewer tasks hear: others that need it will find out.
        if repository is None or (self._space.may_be_short() and not has_no_room(repository)):
            return str(self._space.directory)
        return repository

    def _note(self, agent: str, task_id: TaskId, *, answer: bool) -> None:
        with self._lock:
            met = self._met.setdefault(agent, {})
            met.pop(task_id, None)
            met[task_id] = _Met(answer, clock.now())
            while len(met) > 2:
                del met[next(iter(met))]

    def _refusals_alone(self, task: Task, run: Run) -> int | None:
        """Returns how often an agent has refused a task before that it refuses alone; None when others fare no better.

        Only a task that was put back before is refused alone, and only while the agent has answered another since,
        and refused no other after that. None of its refusals counts before the agent answers another once more.
        """
        if task.hold_time is None or (run.outcome and run.outcome.answered):
            return None
        with self._lock:
            own = self._holds.get(hold_id(HoldKind.TASK, task.id))
            met = self._met.get(run.agent, {})
            other = next((met[task_id] for task_id in reversed(met) if task_id != task.id), None)
        if other is None or not other.answer or (own is None and other.time <= task.hold_time):
            return None
        # An answer of before it was refused alone says nothing about now: the login may have expired for all since.
        return own.attempts if own and other.time > own.create_time else 0

    def _is_tried(self, hold: Hold) -> bool:
        tried = self._tries.get(hold.id)
        patience = _PATIENCE_FOR_ANSWERS if hold.cause.kind is HoldKind.AGENT else _PATIENCE
        return tried is not None and time.monotonic() - tried.start < patience

    def _of_all(self) -> set[HoldId]:
        """Returns the holds that every task meets."""
        return {hold_id(HoldKind.MACHINE), hold_id(HoldKind.DISK, str(self._space.directory))}


def _subjects(holds: Iterable[Hold], kind: HoldKind) -> frozenset[str]:
    return frozenset(hold.cause.subject for hold in holds if hold.cause.kind is kind)


def _of_failure(kind: HoldKind, subject: str, failure: Failure) -> Cause:
    return Cause(kind, subject, failure.message, failure.kind, failure.retry_time)


class Signs:
    """What the lines of a run tell about what is held. Called for each, so it has to be quick."""

    def __init__(self, holding: Holding, task_id: TaskId, agent: str, repository: str) -> None:
        self._holding = holding
        self._task_id = task_id
        self._agent = agent
        self._repository = repository
        self._lives = False
        self._answers = False

    def line(self, *, answered: bool) -> None:
        """Notes that there is a line, and whether the agent has answered by now."""
        if not self._lives:
            self._lives = True
            self._holding.machine_works(self._repository)
        if answered and not self._answers:
            self._answers = True
            self._holding.agent_works(self._agent, self._task_id)
