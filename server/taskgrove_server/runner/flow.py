"""The flow of a task, from a slot to its rest.

    list -> directory -> run 1 -> (retry) -> commit -> rest
              |            |         |
              +------------+---------+-- what passes by itself --> back to the queue; see holding

Every step is stored before the next one begins, so that a server that starts again goes on from there.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import replace

from taskgrove_server.domain import config, errors, ids, prompt
from taskgrove_server.domain.failures import Failure, FailureKind, Retry
from taskgrove_server.domain.run import Run, RunState
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.runner import shortages
from taskgrove_server.runner.execution import Attempt, Execution, Job
from taskgrove_server.runner.holding import Holding, PutBack
from taskgrove_server.runner.insisting import insist
from taskgrove_server.runner.mailbox import Detached, Mailbox
from taskgrove_server.runner.preparing import Preparation, SetupFailed
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.commits import CommitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)


class Flow:
    """What a slot's thread does with a task. The work it hands out lets nothing but Detached out."""

    def __init__(
        self,
        store: Store,
        preparation: Preparation,
        execution: Execution,
        worktrees: Worktrees,
        holding: Holding,
        space: FreeSpace,
    ) -> None:
        self._store = store
        self._worktrees = worktrees
        self._preparation = preparation
        self._execution = execution
        self._holding = holding
        self._space = space

    def run(self, task: Task, mailbox: Mailbox) -> None:
        """Takes a claimed task to its rest."""
        self._guarded(task, mailbox, lambda: self._run(task, mailbox))

    def take_up(self, run: Run, task: Task, mailbox: Mailbox) -> Callable[[], None]:
        """Takes up a task whose last run an earlier server began; returns what takes it to its rest.

        The run's lines so far have been taken in when this returns.
        """
        job = self._job(task, self._find_list(task, mailbox), mailbox)
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
            log.warning("Run %s is to be taken up once more: %s", run.id, error)

        def once_more() -> Run:
            # In its slot, which can wait for what is short.
            see_through = insist(lambda: self._execution.take_up(job, run), job.mailbox)
            return see_through()

        return once_more

    def _run(self, task: Task, mailbox: Mailbox) -> None:
        task_list = self._find_list(task, mailbox)
        if task_list is None:
            self._fail(task, mailbox, FailureKind.TASK_LIST_NOT_FOUND, "List not found.")
            return
        try:
            prepared = self._preparation.prepare(task, task_list, mailbox)
        except (SetupFailed, WorktreeFailed, OSError) as error:
            _leave_if_told(mailbox)
            self._unprepared(task, task_list, mailbox, error)
            return
        _leave_if_told(mailbox)
        log.info("Task %s begins in slot %s", task.id, task.slot)
        job = self._job(replace(task, directory=prepared.directory, worktree=prepared.worktree), task_list, mailbox)
        try:
            run = self._execution.execute(job, self._first_attempt(task, mailbox))
        except PutBack as put_back:
            self._discard_unrecorded(task, mailbox)
            self._holding.put_back(task, put_back.cause, mailbox)
            return
        if run is None:
            self._discard_unrecorded(task, mailbox)
        self._pursue(job, run)

    def _unprepared(
        self, task: Task, task_list: TaskList, mailbox: Mailbox, error: SetupFailed | WorktreeFailed | OSError
    ) -> None:
        """Puts a task back for whose directory the machine was short of something, or brings it to rest.

        If the task was cancelled, it rests as that, whatever is said here.
        """
        kind, message = FailureKind.WORKTREE, f"Worktree creation failed: {error}"
        if isinstance(error, SetupFailed):
            kind, message = FailureKind.SETUP, str(error)
        short = shortages.of_preparation(error, self._space, task_list.working_dir)
        if short is None:
            self._fail(task, mailbox, kind, message)
        else:
            self._holding.put_back(task, self._holding.of_shortage(short, message, task, task_list), mailbox)

    def _discard_unrecorded(self, task: Task, mailbox: Mailbox) -> None:
        if insist(lambda: self._store.tasks.get(task.id), mailbox).awaits_worktree:
            self.discard(task)

    def _find_list(self, task: Task, mailbox: Mailbox) -> TaskList | None:
        try:
            return insist(lambda: self._store.task_lists.get(task.task_list_id), mailbox)
        except errors.TaskListNotFound:
            return None

    def _first_attempt(self, task: Task, mailbox: Mailbox) -> Attempt:
        if not task.restart:
            if task.next_prompt is not None:
                earlier = insist(lambda: self._store.runs.resumable(task.id), mailbox)
                if earlier is not None and earlier.session_id is not None:
                    return Attempt(task.next_prompt, earlier.session_id, resumes=True)
            else:
                put_back = insist(lambda: self._store.runs.latest(task.id), mailbox)
                if put_back is not None and put_back.outcome and put_back.outcome.failure:
                    return self._attempt_after_hold(task, put_back, put_back.outcome.failure, mailbox)
        return Attempt(prompt.of_task(task), ids.new_session_id(), resumes=False)

    def _attempt_after_hold(self, task: Task, run: Run, failure: Failure, mailbox: Mailbox) -> Attempt:
        """Goes on after a run when the task had been put back: a hold itself uses up no retry."""
        if not self._holding.is_held(run):
            return _attempt_after(task, run, failure, is_retry=True)
        if run.outcome and run.outcome.answered:
            attempt = _attempt_after(task, run, failure, is_retry=run.is_retry)
            begun = insist(lambda: self._store.runs.of_session(task.id, attempt.session_id), mailbox)
            if begun and not begun.is_retry and prompt.was_changed(task, begun.prompt):
                return replace(attempt, prompt=prompt.of_change(task, attempt.prompt))
            return attempt
        # Nobody has read the prompt.
        if not run.resumes and not run.is_retry:
            # It was the task's own, whose words may have been changed since.
            return Attempt(prompt.of_task(task), ids.new_session_id(), resumes=False)
        session_id = None
        if run.resumes:
            earlier = insist(lambda: self._store.runs.resumable(task.id), mailbox)
            session_id = earlier.session_id if earlier else None
        resumes = session_id is not None
        return Attempt(run.prompt, session_id or ids.new_session_id(), resumes=resumes, is_retry=run.is_retry)

    def _pursue(self, job: Job, run: Run | None) -> None:
        """Retries a run that failed where that is sensible, then brings the task to rest or back to the queue."""
        try:
            retry = run and self._retry_of(job, run)
            if run and retry:
                log.info("Task %s: run %d failed, trying again", job.task.id, run.number)
                run = self._execution.execute(job, retry) or run
            cause = self._holding.cause_of(job.task, job.task_list, run) if run else None
        except PutBack as put_back:
            cause = put_back.cause
        if cause is not None:
            self._holding.put_back(job.task, cause, job.mailbox)
        elif run is None or run.outcome is None or run.state is RunState.CANCELLED:
            self._rest(job, TaskState.CANCELLED)
        elif run.outcome.failure is not None:
            self._rest(job, TaskState.FAILED, failure=run.outcome.failure)
        else:
            self._settle(job, run, run.outcome.result)

    def _retry_of(self, job: Job, run: Run) -> Attempt | None:
        """Returns what is tried at once after a run that failed; None when nothing is."""
        failure = run.outcome.failure if run.outcome else None
        if failure is None or run.is_retry or job.mailbox.cancelled or job.mailbox.stopped:
            return None
        if failure.automatic in (Retry.NEVER, Retry.HELD, Retry.RESUME_LATER):
            return None
        if failure.automatic is Retry.RESUME_WITH_ROOM and self._space.may_be_short():
            return None
        if job.mailbox.detached:
            raise Detached
        return _attempt_after(job.task, run, failure, is_retry=True)

    def _settle(self, job: Job, run: Run, result: str | None) -> None:
        head_commit = None
        if job.task.worktree is not None:
            try:
                head_commit = self._commit(job, run, job.task.worktree)
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

    def _commit(self, job: Job, run: Run, worktree: Worktree) -> str:
        commit = functools.partial(
            self._worktrees.commit,
            worktree,
            title=job.task.title,
            task_id=job.task.id,
            task_list_title=job.task_list.title if job.task_list else "",
            run_number=run.number,
        )
        try:
            return insist(commit, job.mailbox)
        except CommitFailed as error:
            _leave_if_told(job.mailbox)
            log.info("Task %s: the commit is tried once more: %s", job.task.id, error)
        # As with a worktree that is made: what was short may be there again before anybody can look for it.
        return insist(commit, job.mailbox)

    def _rest(self, job: Job, state: TaskState, failure: Failure | None = None) -> None:
        task = insist(lambda: self._store.slots.rest(job.task.id, state, failure=failure).result(), job.mailbox)
        log.info("Task %s rests: %s%s", task.id, task.state, f" ({failure.kind})" if failure else "")

    def _fail(self, task: Task, mailbox: Mailbox, kind: FailureKind, message: str) -> None:
        failure = Failure(kind, message)
        rested = insist(lambda: self._store.slots.rest(task.id, TaskState.FAILED, failure=failure).result(), mailbox)
        log.warning("Task %s rests: %s: %s", task.id, rested.state, message)

    def _job(self, task: Task, task_list: TaskList | None, mailbox: Mailbox) -> Job:
        defaults = task_list.defaults if task_list else config.RunConfig()
        resolved = config.resolve(task.overrides, defaults)
        return Job(task=task, task_list=task_list, config=resolved, mailbox=mailbox, holding=self._holding)

    def _guarded(self, task: Task, mailbox: Mailbox, work: Callable[[], None]) -> None:
        try:
            work()
        except Detached:
            log.info("Task %s is left to the next server", task.id)
        except Exception as error:
            log.exception("Task %s: unhandled error", task.id)
            with contextlib.suppress(Detached):
                self._give_up(task, mailbox, error)

    def _give_up(self, task: Task, mailbox: Mailbox, error: Exception) -> None:
        """Brings a task to rest for an error of the server's own, or back to the queue when that will pass."""
        message = f"Unhandled error: {error}"
        short = shortages.of(error)
        try:
            if insist(lambda: self._store.tasks.get(task.id), mailbox).state is TaskState.QUEUED:
                self._discard_unrecorded(task, mailbox)
            else:
                run = insist(lambda: self._store.runs.latest(task.id), mailbox)
                if run is not None and run.state is RunState.RUNNING:
                    kind = FailureKind.MACHINE if short else FailureKind.INTERNAL
                    self._execution.give_up(run, Failure(kind, message), mailbox)
                elif run is not None and run.state is RunState.SUCCEEDED:
                    # It would be done again from the start.
                    short = None
            if short is not None:
                cause = self._holding.of_shortage(short, message, task, self._find_list(task, mailbox))
                self._holding.put_back(task, cause, mailbox)
                return
        except Detached:
            raise
        except Exception:
            log.exception("Task %s: what is left of it stays", task.id)
        # Whatever else goes wrong, the task comes to rest.
        self._fail(task, mailbox, FailureKind.INTERNAL, message)


def _attempt_after(task: Task, run: Run, failure: Failure, *, is_retry: bool) -> Attempt:
    """Returns what goes on with a run that has failed, in its session if that is there."""
    session_id = run.outcome.session_id if run.outcome else None
    if failure.automatic is Retry.NEW_SESSION or session_id is None:
        new = prompt.of_new_session(task, run.prompt)
        return Attempt(new, ids.new_session_id(), resumes=False, is_retry=is_retry)
    told = prompt.of_retry(failure) if is_retry else prompt.of_hold(failure)
    return Attempt(told, session_id, resumes=True, is_retry=is_retry)


def _leave_if_told(mailbox: Mailbox) -> None:
    """Raises Detached when the server shuts down, which ends git commands that take long."""
    if mailbox.detached or mailbox.stopped:
        raise Detached
