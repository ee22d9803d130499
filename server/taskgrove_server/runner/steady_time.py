"""The time of day, for what must not happen because a clock is wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from taskgrove_server.domain import clock

log = logging.getLogger(__name__)

#: How far the time of day may go beyond the time that has passed, between two looks at it.
TOLERANCE = timedelta(minutes=1)

#: How long nothing may have happened before a server starts: machines without a battery for their clock start with any
#: time.
LONGEST_SILENCE = timedelta(days=1)

#: For how many seconds the time is not relied on after a jump. Time servers are asked within minutes of a start.
SETTLING = 3600.0


def _passed() -> float:
    # Goes on while the machine sleeps, on Linux: whoever wakes up has not jumped.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyTime:
    """Looks at the clock again and again, and mistrusts it for a while once it has jumped.

    `newest_change` tells when something was last stored, from which the first look goes on; `passed` is a count of
    seconds that nobody sets.
    """

    def __init__(self, newest_change: Callable[[], datetime | None], passed: Callable[[], float] = _passed) -> None:
        self._newest_change = newest_change
        self._passed = passed
        self._last: tuple[datetime, float] | None = None
        self._mistrusted_until = 0.0

    def now(self) -> datetime | None:
        """Returns the time of day; None while it is not relied on."""
        now, passed = clock.now(), self._passed()
        jump = self._jump(now, passed)
        if jump:
            log.info(
                "The time of day is %s ahead of what was seen last: nothing is removed for its age for an hour", jump
            )
            self._mistrusted_until = passed + SETTLING
        self._last = now, passed
        return None if passed < self._mistrusted_until else now

    def _jump(self, now: datetime, passed: float) -> timedelta | None:
        if self._last is not None:
            ahead = now - self._last[0] - timedelta(seconds=passed - self._last[1])
            return ahead if ahead > TOLERANCE else None
        newest = self._newest_change()
        return now - newest if newest is not None and now - newest > LONGEST_SILENCE else None
