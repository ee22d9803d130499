"""Signals that end a backup or a restore: both clear away what they have begun, and say so by their exit status."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came. No Exception, so that nothing on the way takes it for a failure of its own."""


class Interruption:
    """Turns the first signal into Interrupted, and remembers it: SQLite makes an error of its own of what passes it."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._too_late = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # `nohup` has it ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def end(self) -> None:
        """Heeds no signal from now on: what was begun is whole, and is about to be put in its place."""
        self._too_late = True

    @property
    def status(self) -> int | None:
        """Returns the exit status of a process that a signal has ended, as shells give it; None when none came."""
        return None if self._number is None else 128 + self._number

    def check(self) -> bool:
        """Tells whether a signal came; what SQLite calls from time to time while it works."""
        return self._number is not None

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        # A second one must not keep the first from clearing away.
        if self._number is None and not self._too_late:
            self._number = number
            raise Interrupted
