"""Holds what a run gave against the schema that asked for it."""

from __future__ import annotations

import logging
from dataclasses import replace

from taskgrove_server.agents import lines, output_schema
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.run import Outcome
from taskgrove_server.runner.mailbox import Detached, Mailbox

log = logging.getLogger(__name__)

#: Seconds between two attempts at a check that cannot be made, and how often it is tried: the machine may be short of
#: what a process takes, or be about to get a new release of the server.
_INTERVAL = 1.0
_ATTEMPTS = 600


def checked(outcome: Outcome, schema: str | None, mailbox: Mailbox, *, final: bool) -> Outcome:
    """Returns the outcome of a run, which is a failure when its output has another shape than the schema asks for.

    `final` tells that its agent is not asked again. Raises Detached when the server shuts down first.
    """
    if schema is None or outcome.structured_output is None or outcome.failure is not None or outcome.cancelled:
        return outcome
    failure = _failure(schema, outcome.structured_output, mailbox)
    return (
        outcome if failure is None else replace(outcome, failure=replace(failure, final=final), structured_output=None)
    )


def _failure(schema: str, output: str, mailbox: Mailbox) -> Failure | None:
    for attempt in range(_ATTEMPTS):
        try:
            verdict = output_schema.check(schema, output)
        except output_schema.CheckFailed as error:
            log.error("An output waits to be checked: %s", error)
            if mailbox.detached or mailbox.stopped:
                raise Detached from error
            if mailbox.cancelled or attempt == _ATTEMPTS - 1:
                return Failure(FailureKind.INTERNAL, f"The output could not be held against its schema: {error}")
            mailbox.wait(_INTERVAL)
        else:
            return _judged(verdict)
    raise AssertionError  # The last attempt has returned.


def _judged(verdict: output_schema.Verdict) -> Failure | None:
    if verdict.problem is not None:
        return Failure(FailureKind.INVALID_CONFIG, f"The `output_schema` cannot be used: {verdict.problem}.")
    if verdict.mismatch is None:
        return None
    message = f"The output has another shape than its `output_schema` asks for:\n\n{lines.fenced(verdict.mismatch)}"
    return Failure(FailureKind.OUTPUT_MISSING, message)
