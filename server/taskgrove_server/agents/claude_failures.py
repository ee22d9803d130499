"""What Claude Code's reports of failure mean.

Claude Code says why it failed in several places, of which not all are always there: the `error` of the message
that it writes in the model's stead, the `subtype`, `terminal_reason` and `api_error_status` of the result, and
standard error for what fails before there is a session.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from taskgrove_server.agents import claude_limits, lines
from taskgrove_server.agents.agent import Exit
from taskgrove_server.domain import clock
from taskgrove_server.domain.failures import Failure, FailureKind

#: Characters of a tool call, as run.proto promises for those that were refused.
_MAX_CALL = 500

_OF_ERROR = {
    "authentication_failed": FailureKind.AUTH,
    "oauth_org_not_allowed": FailureKind.AUTH,
    "account_on_hold": FailureKind.AUTH,
    "verification_required": FailureKind.AUTH,
    "cloud_credential_error": FailureKind.AUTH,
    "billing_error": FailureKind.BILLING,
    "rate_limit": FailureKind.RATE_LIMITED,
    "overloaded": FailureKind.OVERLOADED,
    "server_error": FailureKind.OVERLOADED,
    "model_not_found": FailureKind.MODEL_NOT_FOUND,
}

_OF_STATUS = {
    401: FailureKind.AUTH,
    402: FailureKind.BILLING,
    403: FailureKind.AUTH,
    404: FailureKind.MODEL_NOT_FOUND,
    408: FailureKind.OVERLOADED,
    413: FailureKind.CONTEXT_FULL,
    429: FailureKind.RATE_LIMITED,
}

_OF_SUBTYPE = {
    "error_max_turns": FailureKind.MAX_TURNS,
    "error_max_budget_usd": FailureKind.BUDGET,
    "error_max_structured_output_retries": FailureKind.OUTPUT_MISSING,
}

_OF_TERMINAL_REASON = {
    "max_turns": FailureKind.MAX_TURNS,
    "budget_exhausted": FailureKind.BUDGET,
    "prompt_too_long": FailureKind.CONTEXT_FULL,
    "blocking_limit": FailureKind.CONTEXT_FULL,
    "rapid_refill_breaker": FailureKind.CONTEXT_FULL,
    "structured_output_retry_exhausted": FailureKind.OUTPUT_MISSING,
}

#: Reasons for which a turn ends before it is complete. Claude Code reports some of them as a success.
UNFINISHED = frozenset(
    {
        *_OF_TERMINAL_REASON,
        "aborted_streaming",
        "aborted_tools",
        "api_error",
        "image_error",
        "malformed_tool_use_exhausted",
        "model_error",
        "turn_setup_failed",
    }
)

#: For reports that say it in words alone.
_OF_WORDS = {
    "No conversation found": FailureKind.SESSION_LOST,
    "Not logged in": FailureKind.AUTH,
    "Invalid API key": FailureKind.AUTH,
    "Please run /login": FailureKind.AUTH,
    "Failed to authenticate": FailureKind.AUTH,
    "OAuth token has": FailureKind.AUTH,
    "OAuth token revoked": FailureKind.AUTH,
    "belongs to a disabled organization": FailureKind.AUTH,
    "organization has been disabled": FailureKind.AUTH,
    "Prompt is too long": FailureKind.CONTEXT_FULL,
    "context window limit": FailureKind.CONTEXT_FULL,
    "Credit balance is too low": FailureKind.BILLING,
    "credit balance is too low": FailureKind.BILLING,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "Overloaded": FailureKind.OVERLOADED,
    "API Error: Connection error": FailureKind.OVERLOADED,
    "API Error: Request timed out": FailureKind.OVERLOADED,
}

#: What a person can do; kinds that the runner tries again by itself have none, as their message is the agent's
#: next prompt.
_ADVICE = {
    FailureKind.AUTH: (
        "Log Claude Code in as the server's user, or set `ANTHROPIC_API_KEY` in the server's environment."
    ),
    FailureKind.BILLING: "Add credit to the account, or use another one.",
    FailureKind.MODEL_NOT_FOUND: "Set a `model` that the account may use; then continue the task.",
    FailureKind.CONTEXT_FULL: "Enqueue the rest of the work as a new task, with less context.",
    FailureKind.MAX_TURNS: "Continue the task to give it more turns.",
    FailureKind.BUDGET: "Continue the task to give it a new budget.",
    FailureKind.INVALID_CONFIG: "Mend the configuration of the task or its list, and try again.",
    FailureKind.BLOCKED: "See to that, and continue the task.",
    FailureKind.AGENT_NOT_FOUND: "Check the installation of Claude Code on the server's machine.",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A usage limit that is reached."""

    #: None when that was not said.
    ends: datetime | None
    #: Of one model alone.
    of_model: bool = False


def of_result(result: dict[str, Any], message: dict[str, Any], limit: Limit | None) -> Failure:
    """Returns the failure that a result tells of.

    `message` is what was written in the model's stead, if anything, and `limit` the limit that was reported and that
    the model has not answered in spite of.
    """
    status = _status(result.get("api_error_status"))
    words = _words(result)
    subtype = lines.text(result.get("subtype"))
    reason = lines.text(result.get("terminal_reason"))
    kind = FailureKind.AGENT
    if result.get("stop_reason") == "refusal":
        kind = FailureKind.REFUSED
    elif subtype in _OF_SUBTYPE:
        kind = _OF_SUBTYPE[subtype]
    elif reason in _OF_TERMINAL_REASON:
        kind = _OF_TERMINAL_REASON[reason]
    elif (error := lines.text(message.get("error"))) in _OF_ERROR:
        kind = _OF_ERROR[error]
    elif status in _OF_STATUS:
        kind = _OF_STATUS[status]
    elif status and status >= 500:
        kind = FailureKind.OVERLOADED
    elif limit or claude_limits.are_meant(words):
        kind = FailureKind.RATE_LIMITED
    else:
        kind = _of_words(words) or FailureKind.AGENT
    failure = _failure(kind, words or f"Claude Code reported a failure ({reason or subtype}).", http_status=status)
    return _until(failure, words, limit)


def of_no_answer(result: dict[str, Any], message: dict[str, Any], limit: Limit | None) -> Failure:
    """Returns the failure of a turn that Claude Code calls a success, and in which the model said nothing.

    `message` and `limit` are those of of_result. Further on in the words there may be what people wrote.
    """
    words = _words(result)
    error = lines.text(message.get("error"))
    kind = _OF_ERROR.get(error)
    if kind is None and (limit or claude_limits.are_meant(words)):
        kind = FailureKind.RATE_LIMITED
    kind = kind or next((kind for phrase, kind in _OF_WORDS.items() if words.startswith(phrase)), None)
    if kind or error:
        failure = _failure(kind or FailureKind.AGENT, words or f"Claude Code reported a failure ({error or kind}).")
        return _until(failure, words, limit)
    said = f":\n\n{lines.fenced(lines.head(words, lines.MAX_MESSAGE // 2))}" if words.strip() else "."
    return _failure(FailureKind.BLOCKED, f"Claude Code ended without a word of the model{said}")


def of_hook(result: dict[str, Any], last_call: str, feedback: str) -> Failure | None:
    """Returns the failure of a turn that a hook has ended, and that Claude Code calls a success; None without one.

    `last_call` is the last tool call, and `feedback` what a hook said last when it did not let the turn end, as far
    as the model has not answered it.
    """
    reason = lines.text(result.get("terminal_reason"))
    deferred = lines.record(result.get("deferred_tool_use"))
    if deferred or reason.startswith("tool_deferred") or result.get("stop_reason") == "tool_deferred":
        named = call(deferred.get("name"), deferred.get("input")) if deferred else last_call
        what = f"A hook has put off a tool call, and Claude Code stopped before it:\n\n{lines.fenced(named)}"
    elif reason == "hook_stopped":
        after = f" after this tool call:\n\n{lines.fenced(last_call)}" if last_call else "."
        what = f"A hook has stopped Claude Code{after}"
    elif feedback:
        quoted = lines.fenced(lines.head(feedback, lines.MAX_MESSAGE // 2))
        what = f"A hook did not let Claude Code end its turn, again and again:\n\n{quoted}"
    else:
        return None
    return _failure(FailureKind.BLOCKED, what)


def call(name: object, given: object) -> str:
    """Returns a tool call in one line, such as "Bash: git status"; long input is cut."""
    values = lines.record(given)
    told = next((values[key] for key in ("command", "file_path", "url", "pattern", "query") if key in values), values)
    short = told if isinstance(told, str) else lines.dump(told)
    text = " ".join(f"{lines.text(name)}: {short}".split())
    return lines.clean(text if len(text) <= _MAX_CALL else text[: _MAX_CALL - 1] + "…")


def of_retry(line: dict[str, Any]) -> Failure | None:
    """Returns the failure in which Claude Code's own retries are sure to end, if they are.

    Refused credentials are tried 10 times, for 3 minutes in all. The first retry is waited for, because a
    token that has run out may be renewed before it.
    """
    status = _status(line.get("error_status"))
    attempt = line.get("attempt")
    if status not in {401, 403} or not isinstance(attempt, int) or attempt < 2:
        return None
    return _failure(FailureKind.AUTH, f"The model's API refuses the credentials (HTTP {status}).", http_status=status)


def of_exit(end: Exit, limit: Limit | None, *, begun: bool) -> Failure:
    """Returns the failure of a process that ended without a result; `begun` tells that it had a session."""
    if limit:
        return _until(_failure(FailureKind.RATE_LIMITED, "A usage limit is reached, and Claude Code ended."), "", limit)
    stderr = end.stderr.strip()
    quoted = f":\n\n{lines.fenced(lines.tail(stderr, lines.MAX_MESSAGE // 2))}" if stderr else "."
    if end.code is None:
        return _failure(FailureKind.INTERRUPTED, "Nobody saw how Claude Code ended, and it left no result.")
    known = None if begun else _of_words(stderr)
    if not begun and "Cannot find module" in stderr:
        # Node.js is there, and the files that it is to run are being replaced.
        known = FailureKind.AGENT_NOT_FOUND
    if known:
        return _failure(known, f"Claude Code ended{quoted}")
    if not begun and end.code in {126, 127}:
        return _failure(FailureKind.AGENT_NOT_FOUND, f"Claude Code could not be started{quoted}")
    if not begun and stderr and 0 < end.code <= 125:
        return _failure(FailureKind.INVALID_CONFIG, f"Claude Code refused to start (exit code {end.code}){quoted}")
    how = f"by {_signal(end.code - 128)}" if end.code > 128 else f"with exit code {end.code}"
    return _failure(FailureKind.CRASHED, f"Claude Code ended {how}, without a result{quoted}")


def _words(result: dict[str, Any]) -> str:
    return lines.text(result.get("result")) or "\n".join(lines.texts(result.get("errors")))


def _until(failure: Failure, words: str, limit: Limit | None) -> Failure:
    """Returns the failure with the time when the limit ends, if it is one and the time is known."""
    if failure.kind is not FailureKind.RATE_LIMITED:
        return failure
    ends = (limit and limit.ends) or claude_limits.end(words, clock.now())
    of_model = bool(limit and limit.of_model) or claude_limits.are_of_model(words)
    return replace(failure, retry_time=ends, of_model=of_model)


def _of_words(words: str) -> FailureKind | None:
    return next((kind for phrase, kind in _OF_WORDS.items() if phrase in words), None)


def _failure(kind: FailureKind, words: str, *, http_status: int | None = None) -> Failure:
    advice = _ADVICE.get(kind)
    message = lines.head(words, lines.MAX_MESSAGE - 1024) + (f"\n\n{advice}" if advice else "")
    return Failure(kind, message, http_status=http_status)


def _status(value: object) -> int | None:
    return value if isinstance(value, int) and 100 <= value <= 599 else None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
