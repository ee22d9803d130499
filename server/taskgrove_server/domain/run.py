"""Runs: one execution of an agent each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.ids import RunId, SessionId, TaskId


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run consumed; None where the agent did not say. Costs are US dollars."""

    turns: int | None = None
    #: Fresh input, without what came from or went to the provider's cache.
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    #: The run's own cost.
    cost_usd: float | None = None
    #: The session's cost up to the end of this run, from which the next run's own cost is reckoned.
    session_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, in the runner's words. A run succeeded when it has no failure and was not cancelled."""

    failure: Failure | None = None
    cancelled: bool = False
    session_id: SessionId | None = None
    result: str | None = None
    structured_output: str | None = None
    #: 128 + n when signal n ended the process, -1 for a cancelled run, None when it is not known.
    exit_code: int | None = None
    usage: Usage = Usage()
    #: One entry for each refused tool call, such as "Bash: curl example.org".
    permission_denials: tuple[str, ...] = ()
    stderr: str = ""
    #: What happened meanwhile to what the repository shares with the worktree: a sentence each.
    repository_changes: tuple[str, ...] = ()
    #: The model has answered, so that the session is worth resuming.
    answered: bool = True

    @property
    def state(self) -> RunState:
        """Returns the state in which the run rests."""
        if self.cancelled:
            return RunState.CANCELLED
        return RunState.FAILED if self.failure else RunState.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, as it is stored. Times are aware and in UTC; the fields mean what run.proto says."""

    id: RunId
    task_id: TaskId
    number: int
    is_retry: bool
    prompt: str
    agent: str
    model: str | None
    #: Chosen before the process starts, so that even a run that is killed at once can be resumed.
    session_id: SessionId | None
    #: The run resumes a session that an earlier run began.
    resumes: bool
    #: What the run was started with; None for runs that an early version made.
    config: RunConfig | None
    log_path: str
    first_line: int
    start_time: datetime
    state: RunState = RunState.RUNNING
    outcome: Outcome | None = None
    line_count: int = 0
    #: Bytes of the log, once the run has ended.
    log_size: int = 0
    #: The log was cut while it grew: what it holds is not at its place any more.
    log_lost: bool = False
    #: Retention has removed the log.
    log_removed: bool = False
    finish_time: datetime | None = None
