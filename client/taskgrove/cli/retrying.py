"""Changes that read, merge and write: done again when somebody else came between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from taskgrove import errors

_Resource = TypeVar("_Resource")

#: More in a row than a person's colleagues bring about.
_ATTEMPTS = 5


def insist(change: Callable[[], _Resource]) -> _Resource:
    """Returns what a change returns, which is made anew when the thing has changed since it was read."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return change()
        except errors.EtagMismatch:
            continue
    return change()
