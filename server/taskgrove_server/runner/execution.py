"""One run: its row, its process, its log and its outcome."""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from taskgrove_server.agents.agent import Exit, Launch, LaunchRefused, LaunchRequest, Parser
from taskgrove_server.agents.registry import Registry
from taskgrove_server.domain import config, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import RunId, SessionId
from taskgrove_server.domain.run import Outcome, Run
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.journal.journal import Journal
from taskgrove_server.processes import starting, sweeping
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.spec import Graces, Spec
from taskgrove_server.processes.supervised import Supervised
from taskgrove_server.runner import driving, run_output, shortages
from taskgrove_server.runner.driving import Drive, Limits
from taskgrove_server.runner.holding import Holding, PutBack
from taskgrove_server.runner.insisting import insist
from taskgrove_server.runner.mailbox import Detached, Mailbox
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import subdirectories
from taskgrove_server.worktrees.commands import GitFailed
from taskgrove_server.worktrees.locks import WorktreeFailed

log = logging.getLogger(__name__)

#: What is told when it is not known what a run has changed.
NOT_COMPARED = (
    "What the repository shares with its worktrees, such as its stash, could not be compared with what it was before "
    "the run: look at it yourself."
)


@dataclass(frozen=True, slots=True)
class Job:
    """A task in a slot, with what all of its runs share. The list is None when it was deleted meanwhile."""

    task: Task
    task_list: TaskList | None
    config: RunConfig
    mailbox: Mailbox
    holding: Holding

    @property
    def agent(self) -> str:
        """Returns the name of the agent that does it."""
        return self.config.agent or config.DEFAULT_AGENT


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one run is to do."""

    prompt: str
    session_id: SessionId
    resumes: bool
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """Where runs keep their files: a directory each, and all logs in one; both absolute."""

    runs: Path
    logs: Path


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends runs: the limits of those that ask for none of their own, and the graces of a stop.

    And what makes them wait: the bytes of the logs' disk that their output leaves free.
    """

    limits: Limits
    graces: Graces
    least_free: int = 0


#: Stands before the words of an error for which a run could not begin.
_NOT_BEGUN = "The run could not be started: "


class Surroundings(Protocol):
    """Looks after what a run can change beyond its own directory, and what is not its own."""

    def remember(self, task: Task, run_directory: Path) -> None:
        """Notes in a run's directory how all is before the run.

        Raises OSError or GitFailed while the machine is short of something.
        """
        ...

    def compare(self, run_directory: Path) -> tuple[str, ...] | None:
        """Sees to what has changed since, and returns sentences about it; None when that could not be found out.

        Raises OSError or GitFailed while the machine is short of something. Done again, it returns the same.
        """
        ...

    def unfinished(self, worktree: Worktree) -> str | None:
        """Returns what a run has left its worktree in the middle of, as the end of a sentence; None for nothing.

        Raises as `compare` does.
        """
        ...


class Execution:
    """Carries out runs, and takes up those that an earlier server left."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        agents: Registry,
        places: Places,
        ending: Ending,
        surroundings: Surroundings,
    ) -> None:
        self._store = store
        self._journal = journal
        self._agents = agents
        self._places = places
        self._ending = ending
        self._surroundings = surroundings

    def execute(self, job: Job, attempt: Attempt) -> Run | None:
        """Makes a new run and returns it when it has ended; None when the task was cancelled before.

        Raises PutBack, with nothing recorded, when the run cannot begin at the moment.
        """
        run_id = ids.new_run_id()
        launch: Launch | None = None
        refusal = Failure(FailureKind.INTERNAL, "")
        try:
            launch = self._launch(job, attempt, run_id)
        except LaunchRefused as refused:
            refusal = refused.failure
            if cause := job.holding.of_refusal(job.agent, refusal):
                shutil.rmtree(self._directory(run_id), ignore_errors=True)
                raise PutBack(cause) from refused
        except OSError as error:
            shutil.rmtree(self._directory(run_id), ignore_errors=True)
            short = shortages.of(error)
            if short is None:
                raise
            raise PutBack(job.holding.of_shortage(short, _NOT_BEGUN + str(error), job.task, job.task_list)) from error
        run = self._begin(job, attempt, run_id, launch.model if launch else job.config.model)
        if run is None:
            shutil.rmtree(self._directory(run_id), ignore_errors=True)
            return None
        if launch is None:
            return self._conclude(job, run, Outcome(failure=refusal, answered=False))
        try:
            parser = self._follow(job, run)
        except OSError as error:
            return self._not_started(job, run, error)
        return self._carry_out(job, run, launch, parser)

    def take_up(self, job: Job, run: Run) -> Callable[[], Run]:
        """Takes up a run that an earlier server began; returns what sees it through.

        Its lines so far have been taken in when this returns.
        """
        parser = self._follow(job, run, taken_up=True)
        # Not here: what resists when the rest of a run is ended would keep the server from serving for seconds.
        return lambda: self._adopt(job, run, parser)

    def give_up(self, run: Run, failure: Failure, mailbox: Mailbox) -> Run:
        """Closes a run that an error of the server's own has cut off, after ending what is left of it; returns it."""
        insist(lambda: sweeping.sweep_run(run.id), mailbox)
        insist(lambda: self._end_log(run), mailbox)
        changes = self._compared(run, mailbox)
        outcome = Outcome(failure=failure, session_id=run.session_id, repository_changes=changes)
        return self._finish(run, outcome, mailbox)

    def _adopt(self, job: Job, run: Run, parser: Parser) -> Run:
        directory = self._directory(run.id)
        # Before what is left of the run is ended, which may have it write something like a result.
        had_result = parser.progress.done
        standing = insist(lambda: starting.adopt(directory), job.mailbox)
        if isinstance(standing, Supervised):
            return self._see_through(job, run, standing, parser)
        if isinstance(standing, ProcessEnd):
            ended = driving.exit_of(standing, had_result=had_result, cancelled=job.mailbox.cancelled)
            return self._end(job, run, ended, parser)
        # Recorded, but not started, and from now on it never will be by the earlier server: so this one does.
        shutil.rmtree(directory, ignore_errors=True)
        attempt = Attempt(run.prompt, run.session_id or ids.new_session_id(), run.resumes, run.is_retry)
        return self._restart(job, run, attempt, parser)

    def _restart(self, job: Job, run: Run, attempt: Attempt, parser: Parser) -> Run:
        try:
            launch = self._launch(job, attempt, run.id)
        except LaunchRefused as refused:
            insist(lambda: self._end_log(run), job.mailbox)
            return self._conclude(job, run, Outcome(failure=refused.failure, answered=False))
        except OSError as error:
            # Not insisted on: nothing would be lost, and a task that waits in the queue can be cancelled.
            if shortages.of(error) is None:
                raise
            return self._not_started(job, run, error)
        return self._carry_out(job, run, launch, parser)

    def _launch(self, job: Job, attempt: Attempt, run_id: RunId) -> Launch:
        worktree = job.task.worktree
        if worktree is not None and job.task.subdirectory:
            _enter(worktree, job.task.subdirectory)
        directory = self._directory(run_id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        request = LaunchRequest(
            prompt=attempt.prompt,
            config=job.config,
            session_id=attempt.session_id,
            resumes=attempt.resumes,
            directory=job.task.directory or "",
            worktree=worktree.path if worktree else None,
            working_dir=job.task_list.working_dir if job.task_list else None,
            run_directory=str(directory),
            environment=os.environ,
        )
        return self._agents.find(job.agent).launch(request)

    def _begin(self, job: Job, attempt: Attempt, run_id: RunId, model: str | None) -> Run | None:
        new = NewRun(
            id=run_id,
            task_id=job.task.id,
            is_retry=attempt.is_retry,
            prompt=attempt.prompt,
            agent=job.agent,
            model=model,
            session_id=attempt.session_id,
            resumes=attempt.resumes,
            config=job.config,
            directory=job.task.directory or "",
            worktree=job.task.worktree,
        )
        return insist(lambda: self._store.runs.begin(new, str(self._places.logs)).result(), job.mailbox)

    def _carry_out(self, job: Job, run: Run, launch: Launch, parser: Parser) -> Run:
        spec = Spec(
            run_id=run.id,
            argv=launch.argv,
            environment=launch.environment,
            directory=job.task.directory or "",
            log_path=run.log_path,
            log_limit=driving.limits_of(job.config, self._ending.limits).log_limit,
            least_free=self._ending.least_free,
            stdin=launch.stdin,
            keep_stdin_open=launch.keep_stdin_open,
            interrupt=launch.interrupt,
            ladder=self._ending.graces.ladder(asks=bool(launch.interrupt)),
            sweep_grace=self._ending.graces.sweep,
        )
        directory = self._directory(run.id)
        try:
            self._surroundings.remember(job.task, directory)
            process = starting.start(directory, spec)
        except (OSError, GitFailed) as error:
            return self._not_started(job, run, error)
        return self._see_through(job, run, process, parser)

    def _not_started(self, job: Job, run: Run, error: OSError | GitFailed) -> Run:
        """Closes a run that was recorded, and for whose process the machine had no room."""
        log.error("Run %s could not be started: %s", run.id, error)
        insist(lambda: self._end_log(run), job.mailbox)
        kind = FailureKind.INTERNAL if isinstance(error, FileExistsError) else FailureKind.MACHINE
        return self._conclude(job, run, Outcome(failure=Failure(kind, _NOT_BEGUN + str(error)), answered=False))

    def _follow(self, job: Job, run: Run, *, taken_up: bool = False) -> Parser:
        before = self._store.runs.session_cost(run) if run.resumes else 0.0
        structured = job.config.output_schema is not None
        parser = self._agents.find(run.agent).parser(
            session_id=run.session_id or SessionId(""), structured=structured, session_cost_usd=before
        )

        signs = job.holding.signs(job.task, job.task_list, run.agent)
        # What was printed for an earlier server tells nothing of how things are now.
        is_news = not taken_up

        def feed(line: bytes) -> None:
            had_tools = bool(parser.progress.running_tools)
            parser.feed(line)
            progress = parser.progress
            if is_news:
                signs.line(answered=progress.answered)
            if progress.done or progress.hopeless or (had_tools and not progress.running_tools):
                job.mailbox.nudge()

        self._journal.follow(run, feed)
        is_news = True
        return parser

    def _see_through(self, job: Job, run: Run, process: Supervised, parser: Parser) -> Run:
        try:
            limits = driving.limits_of(job.config, self._ending.limits)
            silence = functools.partial(self._journal.silence, run)
            ended = Drive(run, process, parser.progress, job.mailbox, limits, silence).to_end()
        finally:
            process.close()
        return self._end(job, run, ended, parser)

    def _end(self, job: Job, run: Run, ended: Exit, parser: Parser) -> Run:
        insist(lambda: self._end_log(run), job.mailbox)
        # Who holds no conversation cannot be told what is wrong: a command would print the same again.
        final = not self._agents.find(run.agent).capabilities.models
        outcome = parser.finish(driving.settled(ended, parser.progress))
        outcome = run_output.checked(outcome, job.config.output_schema, job.mailbox, final=final)
        return self._conclude(job, run, outcome)

    def _end_log(self, run: Run) -> None:
        try:
            self._journal.end(run)
        except KeyError:
            # It was not followed yet. Its lines count all the same.
            self._journal.follow(run, lambda _line: None)
            self._journal.end(run)

    def _conclude(self, job: Job, run: Run, outcome: Outcome) -> Run:
        """Closes the run's row with what came of it, unless a cancel came first."""
        # First: it puts back what git needs in order to tell anything.
        outcome = replace(outcome, repository_changes=self._compared(run, job.mailbox))
        if job.mailbox.cancelled and outcome.failure is not None:
            # Meanwhile: the task will rest as cancelled, and so does its run.
            outcome = replace(outcome, failure=None, cancelled=True, exit_code=-1)
        succeeded = outcome.failure is None and not outcome.cancelled
        if succeeded and (failure := self._left_unfinished(job, run)):
            outcome = replace(outcome, failure=failure)
        elif succeeded and not insist(lambda: self._store.slots.settle(job.task.id).result(), job.mailbox):
            outcome = replace(outcome, cancelled=True, exit_code=-1)
        return self._finish(run, outcome, job.mailbox)

    def _left_unfinished(self, job: Job, run: Run) -> Failure | None:
        worktree = job.task.worktree
        if worktree is None:
            return None
        left = insist(lambda: self._surroundings.unfinished(worktree), job.mailbox)
        if left is None:
            return None
        message = (
            f"The worktree {left}, and nothing was committed over that. Finish it, as with `git rebase --continue`, or "
            "abort it, so that everything that the task needs is there."
        )
        # Who holds no conversation cannot be told: a command would do the same again.
        final = not self._agents.find(run.agent).capabilities.models
        return Failure(FailureKind.WORK_UNFINISHED, message, final=final)

    def _finish(self, run: Run, outcome: Outcome, mailbox: Mailbox) -> Run:
        extent = self._journal.extent(run)
        finished = insist(
            lambda: self._store.runs.finish(run, outcome, extent.lines, extent.size, log_lost=extent.lost).result(),
            mailbox,
        )
        self._journal.release(run)
        shutil.rmtree(self._directory(run.id), ignore_errors=True)
        log.info("Task %s: run %d ended: %s", run.task_id, run.number, finished.state)
        return finished

    def _compared(self, run: Run, mailbox: Mailbox) -> tuple[str, ...]:
        """Returns what was changed around a run. Its processes are gone, and nothing of its work is committed yet."""
        changes = insist(lambda: self._surroundings.compare(self._directory(run.id)), mailbox)
        if changes is not None:
            return changes
        if mailbox.detached or mailbox.stopped:
            # The server ends what it has begun when it shuts down. The next one compares.
            raise Detached
        return (NOT_COMPARED,)

    def _directory(self, run_id: RunId) -> Path:
        return self._places.runs / run_id


def _enter(worktree: Worktree, subdirectory: str) -> None:
    """Raises LaunchRefused when the agent cannot start in a directory of its worktree; see subdirectories.enter."""
    try:
        subdirectories.enter(worktree.path, subdirectory)
    except WorktreeFailed as error:
        raise LaunchRefused(Failure(FailureKind.WORKTREE, str(error))) from error
