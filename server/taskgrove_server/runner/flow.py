"""The flow of a task, from a slot to its rest.

    list -> directory -> run 1 -> (retry) -> commit -> rest

Every step is stored before the next one begins, so that a server that starts again goes on from there.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from taskgrove_server.domain import config, errors, ids, prompt
from taskgrove_server.domain.failures import Failure, FailureKind, Retry
from taskgrove_server.domain.run import Run, RunState
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.processes import starting
from taskgrove_server.runner.execution import Attempt, Execution, Job
from taskgrove_server.runner.insisting import INTERVAL, insist
from taskgrove_server.runner.mailbox import Detached, Mailbox
from taskgrove_server.runner.preparing import Preparation, SetupFailed
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.commits import CommitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many seconds pass before a retry of an overloaded agent, and the room that it takes."""

    retry_pause: float
    space: FreeSpace


class Flow:
    """What a slot's thread does with a task. The work it hands out lets nothing but Detached out."""

    def __init__(
        self, store: Store, preparation: Preparation, execution: Execution, worktrees: Worktrees, policy: Policy
    ) -> None:
        self._store = store
        self._worktrees = worktrees
        self._preparation = preparation
        self._execution = execution
        self._policy = policy

    def run(self, task: Task, mailbox: Mailbox) -> None:
        """Takes a claimed task to its rest."""
        self._guarded(task, mailbox, lambda: self._run(task, mailbox))

    def take_up(self, run: Run, task: Task, mailbox: Mailbox) -> Callable[[], None]:
        """Takes up a task whose last run an earlier server began; returns what takes it to its rest.

        The run's lines so far have been taken in when this returns.
        """
        job = _job(task, self._find_list(task, mailbox), mailbox)
        if run.config is not None:
            # As it was started, whatever task and list ask for by now.
            job = replace(job, config=run.config)
        if run.state is RunState.RUNNING:
            see_through = self._take_up_run(job, run)
            return lambda: self._guarded(task, mailbox, lambda: self._pursue(job, see_through()))
        return lambda: self._guarded(task, mailbox, lambda: self._pursue(job, run))

    def discard(self, task: Task) -> None:
        """Removes a worktree that was made, or begun, and not recorded: nobody else will if the task is cancelled."""
        try:
            task_list = self._store.task_lists.get(task.task_list_id)
            self._preparation.discard(task, task_list)
        except (errors.TaskListNotFound, errors.DirectoryRefused, errors.StoreUnavailable, WorktreeFailed) as error:
            log.warning("Task %s: what is left of its worktree stays: %s", task.id, error)

    def _take_up_run(self, job: Job, run: Run) -> Callable[[], Run]:
        try:
            return self._execution.take_up(job, run)
        except errors.StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - must not keep the server from starting
            cause = error

        def fail() -> Run:
            raise cause

        return fail

    def _run(self, task: Task, mailbox: Mailbox) -> None:
        starting.standby.renew()
        task_list = self._find_list(task, mailbox)
        if task_list is None:
            self._fail(task, mailbox, FailureKind.TASK_LIST_NOT_FOUND, "List not found.")
            return
        try:
            prepared = self._preparation.prepare(task, task_list, mailbox)
        except SetupFailed as error:
            _leave_if_told(mailbox)
            self._fail(task, mailbox, FailureKind.SETUP, str(error))
            return
        except (WorktreeFailed, OSError) as error:
            _leave_if_told(mailbox)
            if self._policy.space.short():
                log.warning("Task %s goes back to the queue until there is room: %s", task.id, error)
                insist(lambda: self._store.slots.requeue(task.id).result(), mailbox)
                return
            # If the task was cancelled, it rests as that, whatever is said here.
            self._fail(task, mailbox, FailureKind.WORKTREE, f"Worktree creation failed: {error}")
            return
        _leave_if_told(mailbox)
        log.info("Task %s begins in slot %s", task.id, task.slot)
        job = _job(replace(task, directory=prepared.directory, worktree=prepared.worktree), task_list, mailbox)
        run = self._execution.execute(job, self._first_attempt(task, mailbox))
        if run is None and self._store.tasks.get(task.id).awaits_worktree:
            self.discard(task)
        self._pursue(job, run)

    def _find_list(self, task: Task, mailbox: Mailbox) -> TaskList | None:
        try:
            return insist(lambda: self._store.task_lists.get(task.task_list_id), mailbox)
        except errors.TaskListNotFound:
            return None

    def _first_attempt(self, task: Task, mailbox: Mailbox) -> Attempt:
        if task.next_prompt is not None and not task.restart:
            earlier = insist(lambda: self._store.runs.resumable(task.id), mailbox)
            if earlier is not None and earlier.session_id is not None:
                return Attempt(task.next_prompt, earlier.session_id, resumes=True)
        return Attempt(prompt.of_task(task), ids.new_session_id(), resumes=False)

    def _pursue(self, job: Job, run: Run | None) -> None:
        """Retries a run that failed where that is sensible, then brings the task to rest."""
        retry = run and self._retry_of(job, run)
        if run and retry:
            log.info("Task %s: run %d failed, trying again", job.task.id, run.number)
            run = self._execution.execute(job, retry) or run
        if run is None or run.outcome is None or run.state is RunState.CANCELLED:
            self._rest(job, TaskState.CANCELLED)
        elif run.outcome.failure is not None:
            self._rest(job, TaskState.FAILED, failure=run.outcome.failure)
        else:
            self._settle(job, run, run.outcome.result)

    def _retry_of(self, job: Job, run: Run) -> Attempt | None:
        failure = run.outcome.failure if run.outcome else None
        if failure is None or run.is_retry or run.outcome is None or job.mailbox.cancelled or job.mailbox.stopped:
            return None
        if failure.automatic is Retry.NEVER:
            return None
        if failure.automatic is Retry.RESUME_LATER:
            job.mailbox.pause(self._policy.retry_pause)
        elif failure.automatic is Retry.RESUME_WITH_ROOM:
            while self._policy.space.short() and not job.mailbox.told:
                job.mailbox.pause(INTERVAL)
        if job.mailbox.detached:
            raise Detached
        if failure.automatic is Retry.NEW_SESSION or run.outcome.session_id is None:
            return Attempt(
                prompt.of_new_session(job.task, run.prompt), ids.new_session_id(), resumes=False, is_retry=True
            )
        return Attempt(prompt.of_retry(failure), run.outcome.session_id, resumes=True, is_retry=True)

    def _settle(self, job: Job, run: Run, result: str | None) -> None:
        head_commit = None
        if job.task.worktree is not None:
            try:
                commit = functools.partial(
                    self._worktrees.commit,
                    job.task.worktree,
                    title=job.task.title,
                    task_id=job.task.id,
                    task_list_title=job.task_list.title if job.task_list else "",
                    run_number=run.number,
                )
                head_commit = insist(commit, job.mailbox)
            except CommitFailed as error:
                _leave_if_told(job.mailbox)
                failure = Failure(FailureKind.COMMIT, f"The changes could not be committed: {error}")
                self._rest(job, TaskState.FAILED, failure=failure)
                return
        task = insist(
            lambda: self._store.slots.rest(
                job.task.id, TaskState.SUCCEEDED, result=result, head_commit=head_commit
            ).result(),
            job.mailbox,
        )
        log.info("Task %s rests: %s", task.id, task.state)

    def _rest(self, job: Job, state: TaskState, failure: Failure | None = None) -> None:
        task = insist(lambda: self._store.slots.rest(job.task.id, state, failure=failure).result(), job.mailbox)
        log.info("Task %s rests: %s%s", task.id, task.state, f" ({failure.kind})" if failure else "")

    def _fail(self, task: Task, mailbox: Mailbox, kind: FailureKind, message: str) -> None:
        failure = Failure(kind, message)
        rested = insist(lambda: self._store.slots.rest(task.id, TaskState.FAILED, failure=failure).result(), mailbox)
        log.warning("Task %s rests: %s: %s", task.id, rested.state, message)

    def _guarded(self, task: Task, mailbox: Mailbox, work: Callable[[], None]) -> None:
        try:
            work()
        except Detached:
            log.info("Task %s is left to the next server", task.id)
        except Exception as error:
            log.exception("Task %s: unhandled error", task.id)
            with contextlib.suppress(Detached):
                self._give_up(task, mailbox, f"Unhandled error: {error}")
        starting.standby.renew()

    def _give_up(self, task: Task, mailbox: Mailbox, message: str) -> None:
        try:
            run = insist(lambda: self._store.runs.latest(task.id), mailbox)
            if run is None and self._store.tasks.get(task.id).awaits_worktree:
                self.discard(task)
            elif run is not None and run.state is RunState.RUNNING:
                self._execution.give_up(run, Failure(FailureKind.INTERNAL, message), mailbox)
        finally:
            # Whatever else goes wrong, the task comes to rest.
            self._fail(task, mailbox, FailureKind.INTERNAL, message)


def _job(task: Task, task_list: TaskList | None, mailbox: Mailbox) -> Job:
    defaults = task_list.defaults if task_list else config.RunConfig()
    return Job(task=task, task_list=task_list, config=config.resolve(task.overrides, defaults), mailbox=mailbox)


def _leave_if_told(mailbox: Mailbox) -> None:
    """Raises Detached when the server shuts down, which ends git commands that take long."""
    if mailbox.detached or mailbox.stopped:
        raise Detached
