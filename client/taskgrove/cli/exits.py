"""Exit codes, and the errors that lead to them."""

from __future__ import annotations

from typing import IO, Any

import click

from taskgrove import errors
from taskgrove.v1 import task_pb2

SUCCEEDED = 0
FAILED = 1
#: click's own code for wrong usage.
USAGE = 2
CANCELLED = 3
UNREACHABLE = 4
REFUSED = 5
UNWRITTEN = 6
#: 128 + SIGINT and 128 + SIGPIPE, as shells have it.
INTERRUPTED = 130
PIPE_CLOSED = 141

#: What each code means, for --help and for the manual.
MEANINGS = {
    SUCCEEDED: "the task succeeded, or the command did what it was asked",
    FAILED: "the task failed, or the answer is no: it cannot land, a check found a problem, you declined",
    USAGE: "wrong usage",
    CANCELLED: "the task was cancelled",
    UNREACHABLE: "the server cannot be reached, does not answer, or does not let you in",
    REFUSED: "refused, by the server or by this machine: it was not done",
    UNWRITTEN: "the output cannot be written; what was asked for may be done",
    INTERRUPTED: "interrupted with Ctrl-C",
    PIPE_CLOSED: "the reader of the output went away",
}

EXPLANATION = "\b\nExit codes:\n" + "".join(f"  {code:<4} {meaning}\n" for code, meaning in MEANINGS.items())

_BY_STATE = {
    task_pb2.Task.STATE_SUCCEEDED: SUCCEEDED,
    task_pb2.Task.STATE_FAILED: FAILED,
    task_pb2.Task.STATE_CANCELLED: CANCELLED,
}


class Refused(click.ClickException):
    """The command could not do what it was asked; the message says why, in one sentence."""

    exit_code = REFUSED

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message on standard error."""
        click.echo(f"taskgrove: {self.format_message()}", file=file, err=file is None)


class Unreachable(Refused):
    """There is no server to ask."""

    exit_code = UNREACHABLE


class NotText(Refused):
    """Something on the command line is no text."""

    exit_code = USAGE


class Unwritten(Refused):
    """The output could not be written."""

    exit_code = UNWRITTEN


class CannotLand(Refused):
    """The work of a task cannot land as it is; `land --check` gives the same answer."""

    exit_code = FAILED


def of(task: task_pb2.Task) -> int:
    """Returns the exit code for a task at rest; a state newer than this program counts as failed."""
    return _BY_STATE.get(task.state, FAILED)


def of_error(error: errors.TaskgroveError) -> int:
    """Returns the exit code for a call that failed."""
    absent = errors.ServerUnavailable | errors.DeadlineExceeded | errors.Unauthenticated
    return UNREACHABLE if isinstance(error, absent) else REFUSED
