"""What the system takes as a program's arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence

from taskgrove_server.agents.agent import LaunchRefused
from taskgrove_server.domain.failures import Failure, FailureKind

#: Bytes of one argument: Linux takes 128 KiB, counting the byte that ends it.
MAX_ARGUMENT = 131_071


def check(argv: Sequence[str]) -> None:
    """Raises LaunchRefused when an argument cannot be passed to a program."""
    for argument in argv:
        problem = _problem(argument)
        if problem:
            start = repr(argument[:40]) + ("…" if len(argument) > 40 else "")
            message = f"The argument `{start}` cannot be passed to a program: {problem}."
            raise LaunchRefused(Failure(FailureKind.INVALID_CONFIG, message))


def _problem(argument: str) -> str | None:
    if "\0" in argument:
        return "it holds a NUL character"
    try:
        size = len(os.fsencode(argument))
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair, which is no text"
    return f"it has {size} bytes, and at most {MAX_ARGUMENT} are possible" if size > MAX_ARGUMENT else None
