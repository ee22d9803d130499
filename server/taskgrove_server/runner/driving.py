"""Sees one process through to its end: decides when it is to be stopped, and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from taskgrove_server.agents.agent import Exit, Progress
from taskgrove_server.domain import clock, shortages
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.run import Run
from taskgrove_server.domain.shortages import Shortage
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.supervised import Supervised
from taskgrove_server.runner.insisting import insist
from taskgrove_server.runner.mailbox import Detached, Mailbox


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take, how long it may be silent, and how long it may outlive its result; in seconds.

    And how large its log may become, in bytes.
    """

    run_timeout: float
    stall_timeout: float
    linger: float
    log_limit: int


def limits_of(config: RunConfig, defaults: Limits) -> Limits:
    """Returns the limits of a run: what its config asks for, else the defaults."""
    asked = {name: getattr(config, name) for name in ("run_timeout", "stall_timeout", "linger")}
    spans = {name: span.total_seconds() for name, span in asked.items() if span is not None}
    return replace(defaults, log_limit=config.log_limit or defaults.log_limit, **spans)


class Drive:
    """One process on its way to its end, as its slot's thread sees it."""

    def __init__(
        self,
        run: Run,
        process: Supervised,
        progress: Progress,
        mailbox: Mailbox,
        limits: Limits,
        silence: Callable[[], float],
    ) -> None:
        self._process = process
        self._progress = progress
        self._mailbox = mailbox
        self._limits = limits
        #: Tells for how many seconds the log has not grown since this server follows it.
        self._log_silence = silence
        #: When the run began, by the monotonic clock, if its supervisor does not know better.
        self._since = time.monotonic() - max(0.0, (clock.now() - run.start_time).total_seconds())
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
            # The work is done: what it takes to read of its end must not cost it.
            insist(self._process.result, self._mailbox),
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
        if self._linger_deadline is None:
            self._stop_if_late()
        elif now >= self._linger_deadline:
            # It has its result and counts as what that says; only the process does not end.
            self._stop(None)

    def _stop_if_late(self) -> None:
        if self._time_left() <= 0:
            allowed = timedelta(seconds=self._limits.run_timeout)
            self._stop(Failure(FailureKind.TIMEOUT, f"The run took longer than {allowed} and was stopped."))
        elif self._may_stall() and self._silence() >= self._limits.stall_timeout:
            allowed = timedelta(seconds=self._limits.stall_timeout)
            self._stop(Failure(FailureKind.STALLED, f"The run printed nothing for {allowed} and was stopped."))

    def _time_left(self) -> float:
        # The supervisor goes by what no step of the clock changes, and leaves out what the agent waited for room.
        age = self._process.age()
        return self._limits.run_timeout - (time.monotonic() - self._since if age is None else age)

    def _silence(self) -> float:
        # The supervisor also knows of the time before this server, and of an agent that waits for room on the disk.
        silence = self._process.silence()
        return self._log_silence() if silence is None else silence

    def _may_stall(self) -> bool:
        # A tool may be silent for as long as the run may take; the journal nudges when the last one has ended.
        return not self._progress.running_tools

    def _stop(self, why: Failure | None) -> None:
        if not self._stopping:
            self._stopping = True
            self._stopped_for = why
            self._process.stop()

    def _next_deadline(self) -> float | None:
        if self._stopping:
            return None
        if self._linger_deadline is not None:
            # A run that has its result is in time, however long its process takes to end.
            return max(0.0, self._linger_deadline - time.monotonic())
        rest = self._time_left()
        if self._may_stall():
            rest = min(rest, self._limits.stall_timeout - self._silence())
        return max(0.0, rest)


def exit_of(end: ProcessEnd, *, had_result: bool, cancelled: bool, stopped_for: Failure | None = None) -> Exit:
    """Returns the end of a process as a parser wants it, with the failure that the runner itself knows of.

    `had_result` tells that the process had given its result before anything ended it.
    """
    cut_off = None if cancelled else _cut_off(end)
    if stopped_for is None and cut_off is None:
        stopped_for = _own_failure(end, had_result=had_result, cancelled=cancelled)
    return Exit(code=end.exit_code, stderr=end.stderr, stopped_for=stopped_for, cut_off=cut_off, cancelled=cancelled)


def settled(ended: Exit, progress: Progress) -> Exit:
    """Returns the end of a process once all of its log was read: it counts by the result that came before a cut."""
    if ended.cut_off is None or progress.done:
        return ended
    return replace(ended, stopped_for=ended.stopped_for or ended.cut_off)


def _cut_off(end: ProcessEnd) -> Failure | None:
    if end.log_limit is not None:
        return Failure(
            FailureKind.LOG_LIMIT,
            f"The run's log reached its limit of {_shown(end.log_limit)}, and the run was stopped. "
            "Continue the task to go on in a new log, or raise `log_limit` before.",
        )
    if end.disk_full:
        return Failure(
            FailureKind.DISK_FULL,
            "The disk that holds the run's log was full when the agent ended: what it printed last may be missing. "
            "Make room, and continue the task to go on.",
        )
    return None


def _shown(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def _own_failure(end: ProcessEnd, *, had_result: bool, cancelled: bool) -> Failure | None:
    short = shortages.of_errno(end.spawn_errno)
    if end.spawn_stage == "directory" and short is None:
        return Failure(FailureKind.WORKTREE, f"The agent could not be started: {end.spawn_error}")
    if end.spawn_error is not None and (end.never_started or short in (Shortage.MACHINE, Shortage.ROOM)):
        return Failure(FailureKind.MACHINE, f"The agent's program could not be started: {end.spawn_error}")
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
