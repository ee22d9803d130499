"""Why a run failed, and whether the runner tries once more by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FailureKind(StrEnum):
    """Classifies failures; the values mean what failure.proto says."""

    AGENT = "agent"
    AUTH = "auth"
    BILLING = "billing"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_FULL = "context_full"
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CRASHED = "crashed"
    REFUSED = "refused"
    SESSION_LOST = "session_lost"
    OUTPUT_MISSING = "output_missing"
    INVALID_CONFIG = "invalid_config"
    AGENT_NOT_FOUND = "agent_not_found"
    WORKTREE = "worktree"
    COMMIT = "commit"
    INTERRUPTED = "interrupted"
    TASK_LIST_NOT_FOUND = "task_list_not_found"
    INTERNAL = "internal"
    DISK_FULL = "disk_full"
    SETUP = "setup"
    WORK_UNFINISHED = "work_unfinished"
    LOG_LIMIT = "log_limit"
    MACHINE = "machine"
    BLOCKED = "blocked"


class Retry(StrEnum):
    """What the runner does by itself after a failure. Except for HELD, it does so once for each prompt."""

    NEVER = "never"
    #: Resumes the session with a prompt that quotes the error.
    RESUME = "resume"
    #: As HELD, where an agent serves many tasks; else as RESUME, after a pause.
    RESUME_LATER = "resume_later"
    #: As RESUME, once the disk has room again.
    RESUME_WITH_ROOM = "resume_with_room"
    #: Starts a new session with the run's own prompt: the old session is gone.
    NEW_SESSION = "new_session"
    #: Puts the task back, and holds what it depends on: the failure is none of the task's. See domain.hold.
    HELD = "held"


#: What passes by itself, or is mended by a person outside of the task. For none of these a task is to blame.
_HELD = frozenset(
    {
        FailureKind.AGENT_NOT_FOUND,
        FailureKind.AUTH,
        FailureKind.BILLING,
        FailureKind.MACHINE,
        FailureKind.RATE_LIMITED,
    }
)

#: The runner's own answer to each kind. A kind that is not here is never retried: for unknown models, budgets and the
#: like a second run is a sure second failure.
AUTOMATIC: dict[FailureKind, Retry] = {
    FailureKind.AGENT: Retry.RESUME,
    FailureKind.OVERLOADED: Retry.RESUME_LATER,
    FailureKind.CRASHED: Retry.RESUME,
    FailureKind.STALLED: Retry.RESUME,
    FailureKind.DISK_FULL: Retry.RESUME_WITH_ROOM,
    FailureKind.OUTPUT_MISSING: Retry.RESUME,
    FailureKind.WORK_UNFINISHED: Retry.RESUME,
    FailureKind.SESSION_LOST: Retry.NEW_SESSION,
    **dict.fromkeys(_HELD, Retry.HELD),
}

#: Kinds after which a person or program may try again without changing anything first.
_RETRYABLE = frozenset(
    {
        *(AUTOMATIC.keys() - _HELD),
        FailureKind.MACHINE,
        FailureKind.RATE_LIMITED,
        FailureKind.MAX_TURNS,
        FailureKind.BUDGET,
        FailureKind.TIMEOUT,
        FailureKind.INTERRUPTED,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: `message` is Markdown for a person, `retry_time` is aware and in UTC."""

    kind: FailureKind
    message: str
    http_status: int | None = None
    retry_time: datetime | None = None
    #: Rules out the automatic retry that the kind would have.
    final: bool = False
    #: A limit of one model: the agent's others are to be had.
    of_model: bool = False

    @property
    def retryable(self) -> bool:
        """Tells whether trying again may help with nothing changed."""
        return self.kind in _RETRYABLE

    @property
    def automatic(self) -> Retry:
        """Returns what the runner does by itself."""
        return Retry.NEVER if self.final else AUTOMATIC.get(self.kind, Retry.NEVER)
