"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
