"""What holds tasks back: something that they depend on, and that is not to be had at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from taskgrove_server.domain.failures import FailureKind

HoldId = NewType("HoldId", str)

#: How long a pause before a task tries again becomes at most; each is twice as long as the one before.
LONGEST_PAUSE = timedelta(minutes=5)


class HoldKind(StrEnum):
    """What is held; the values mean what hold.proto says."""

    MACHINE = "machine"
    DISK = "disk"
    AGENT = "agent"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a task cannot go on at the moment, for no fault of its own."""

    kind: HoldKind
    #: Names what is held, as its kind says; empty for MACHINE.
    subject: str
    #: Markdown, for a person.
    reason: str
    failure_kind: FailureKind
    #: Before which there is no use in trying; aware, in UTC.
    ends: datetime | None = None

    @property
    def hold_id(self) -> HoldId:
        """Returns the identifier of the hold that it makes."""
        return hold_id(self.kind, self.subject)


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is held, as it is stored. Times are aware and in UTC; the fields mean what hold.proto says."""

    id: HoldId
    cause: Cause
    attempts: int
    create_time: datetime
    #: When a try failed last.
    failed_time: datetime
    next_try_time: datetime

    def is_due(self, now: datetime) -> bool:
        """Tells whether a task may try; at once when the clock was set back to before the last failure."""
        return not self.failed_time <= now < self.next_try_time


def hold_id(kind: HoldKind, subject: str = "") -> HoldId:
    """Returns the identifier of a hold."""
    return HoldId(f"{kind}:{subject}" if subject else kind.value)


def next_try(cause: Cause, attempts: int, failed_time: datetime, first_pause: timedelta) -> datetime:
    """Returns when a task is to try again, after `attempts` tries have failed, the last one at `failed_time`."""
    # A power that is too large for a span of time is never reckoned.
    pause = min(max(first_pause, LONGEST_PAUSE), first_pause * (1 << min(attempts - 1, 20)))
    return failed_time + pause if cause.ends is None else max(failed_time + pause, cause.ends)
