"""What is wrong with an output schema, or with an output that it asks for."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskgrove_server.agents import lines

#: Holds an output against a schema.
CHECKER = Path(__file__).with_name("output_checker.py")

#: Seconds of a processor that it may take.
EFFORT = 10

#: Seconds in all: on a busy machine, it does not get a processor at once.
_PATIENCE = 300.0


class CheckFailed(Exception):
    """The check could not be made: this says nothing about the schema, nor about the output."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong; both None when all is well."""

    #: The schema cannot be used: ends a sentence about it.
    problem: str | None = None
    #: How the output differs, one difference a line, each with its place.
    mismatch: str | None = None


@functools.lru_cache(maxsize=64)
def problem(schema: str) -> str | None:
    """Returns why a schema cannot be used, None when it can; raises CheckFailed."""
    return _check(schema, None).problem


def check(schema: str, output: str) -> Verdict:
    """Returns what is wrong with an output, or with its schema; raises CheckFailed."""
    return _check(schema, output)


def _check(schema: str, output: str | None) -> Verdict:
    try:
        ended = subprocess.run(
            [sys.executable, "-I", str(CHECKER), str(EFFORT)],
            input=json.dumps({"schema": schema, "output": output}).encode(),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckFailed(str(error)) from error
    if ended.returncode == -signal.SIGXCPU or b"MemoryError" in ended.stderr:
        return Verdict(problem=f"checking it takes more than {EFFORT} seconds or too much memory")
    if ended.returncode:
        raise CheckFailed(lines.tail(ended.stderr.decode(errors="replace").strip(), 1000))
    answer: dict[str, Any] = next(lines.parse(ended.stdout), dict[str, Any]())
    return Verdict(answer.get("problem"), answer.get("mismatch"))
