"""What a check finds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Seconds that a file system has to answer.
PATIENCE = 10.0

Status: TypeAlias = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: which check, how it went, what was found, and what to do unless all is well.

    A problem is something without which tasks do not work; a warning is something that a person may want as it is.
    """

    check: str
    status: Status
    what: str
    advice: str = ""

    @property
    def text(self) -> str:
        """What was found and what to do, as sentences."""
        return f"{self.what}. {self.advice}" if self.advice else self.what


def ok(check: str, what: str) -> Finding:
    """Returns that all is well."""
    return Finding(check, "ok", what)


def warning(check: str, what: str, advice: str) -> Finding:
    """Returns what may be unwanted."""
    return Finding(check, "warning", what, advice)


def problem(check: str, what: str, advice: str) -> Finding:
    """Returns what keeps tasks from working."""
    return Finding(check, "problem", what, advice)


def in_time(check: str, look: Callable[[], Finding | None], patience: float = PATIENCE) -> Finding | None:
    """Returns what a look at a file system finds, or that it does not answer: nobody can end a look that hangs."""
    found: list[Finding | None] = []
    # One that waits in the kernel keeps no program from ending.
    looking = threading.Thread(target=lambda: found.append(look()), daemon=True)
    looking.start()
    looking.join(patience)
    if looking.is_alive():
        advice = "See whether its file system answers: ls and df hang as well where it does not."
        return problem(check, f"Looking took longer than {patience:g} seconds", advice)
    return found[0]
