"""Sees one process through to its end: decides when it is to be stopped, and why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from taskgrove_server.agents.agent import Exit, Progress
from taskgrove_server.domain import clock
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.run import Run
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.supervised import Supervised
from taskgrove_server.runner.mailbox import Detached, Mailbox


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take in all, and how long its process may stay after its last result; in seconds."""

    run_timeout: float
    linger: float


class Drive:
    """One process on its way to its end, as its slot's thread sees it."""

    def __init__(self, run: Run, process: Supervised, progress: Progress, mailbox: Mailbox, limits: Limits) -> None:
        self._process = process
        self._progress = progress
        self._mailbox = mailbox
        self._limits = limits
        # An adopted run has used up some of its time already.
        elapsed = max(0.0, (clock.now() - run.start_time).total_seconds())
        self._deadline = time.monotonic() + limits.run_timeout - elapsed
        self._linger_deadline: float | None = None
        self._stopping = False
        self._stopped_for: Failure | None = None

    def to_end(self) -> Exit:
        """Returns how the process ended; raises Detached, with the process running, when the server shuts down."""
        while not self._process.ended():
            self._look_around()
            self._mailbox.wait(self._next_deadline(), self._process.exit_fd)
            if self._mailbox.detached:
                raise Detached
        # Before what is left of a run without its supervisor is ended: see exit_of.
        had_result = self._progress.done
        return exit_of(
            self._process.result(),
            had_result=had_result,
            # Told also when the process ended before this thread looked around.
            cancelled=self._mailbox.cancelled,
            stopped_for=self._stopped_for,
        )

    def _look_around(self) -> None:
        now = time.monotonic()
        if self._mailbox.cancelled:
            self._stop(None)
        if self._mailbox.stopped:
            cut_off = Failure(FailureKind.INTERRUPTED, "The server was stopped together with its runs.")
            self._stop(None if self._progress.done else cut_off)
        if self._progress.hopeless:
            self._stop(self._progress.hopeless)
        if not self._progress.done:
            # A further turn may follow a result.
            self._linger_deadline = None
        elif self._linger_deadline is None:
            self._linger_deadline = now + self._limits.linger
            self._process.close_stdin()
        if self._linger_deadline is None and now >= self._deadline:
            allowed = timedelta(seconds=self._limits.run_timeout)
            self._stop(Failure(FailureKind.TIMEOUT, f"The run took longer than {allowed} and was stopped."))
        if self._linger_deadline is not None and now >= self._linger_deadline:
            # It has its result and counts as what that says; only the process does not end.
            self._stop(None)

    def _stop(self, why: Failure | None) -> None:
        if not self._stopping:
            self._stopping = True
            self._stopped_for = why
            self._process.stop()

    def _next_deadline(self) -> float | None:
        if self._stopping:
            return None
        # A run that has its result is in time, however long its process takes to end.
        deadline = self._deadline if self._linger_deadline is None else self._linger_deadline
        return max(0.0, deadline - time.monotonic())


def exit_of(end: ProcessEnd, *, had_result: bool, cancelled: bool, stopped_for: Failure | None = None) -> Exit:
    """Returns the end of a process as a parser wants it, with the failure that the runner itself knows of.

    `had_result` tells that the process had given its result before anything ended it.
    """
    return Exit(
        code=end.exit_code,
        stderr=end.stderr,
        stopped_for=stopped_for or _own_failure(end, had_result=had_result, cancelled=cancelled),
        cancelled=cancelled,
    )


def _own_failure(end: ProcessEnd, *, had_result: bool, cancelled: bool) -> Failure | None:
    if end.spawn_error is not None:
        message = f"The agent's program could not be started: {end.spawn_error}"
        return Failure(FailureKind.AGENT_NOT_FOUND, message)
    # It was being stopped when the server ended, or its supervisor was killed. What has its result has ended well
    # or ill by that.
    if (end.stopped or not end.supervised) and not cancelled and not had_result:
        return Failure(
            FailureKind.INTERRUPTED,
            "The run was cut off, together with the server or its supervisor. Continue the task to go on.",
        )
    return None
