"""Reads what Claude Code writes with `--output-format=stream-json`."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from taskgrove_server.agents import claude_failures, claude_limits, lines
from taskgrove_server.agents.agent import Exit, Progress
from taskgrove_server.agents.claude_failures import Limit
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import SessionId
from taskgrove_server.domain.run import Outcome, Usage

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_CUT_RESULT = "\n\n… (cut here; the log has the rest)"

#: As run.proto promises.
_MAX_DENIALS = 100

#: The model of messages that Claude Code writes in the model's stead.
_NO_MODEL = "<synthetic>"

#: How a hook that does not let the agent end its turn is passed on to the model.
_FEEDBACK = "Stop hook feedback:"


@dataclass(slots=True)
class _Turn:
    """What was read of a turn."""

    result: dict[str, Any] | None = None
    #: What the model said last.
    text: str = ""
    #: The last message that Claude Code wrote in the model's stead, unless the model has spoken since.
    stand_in: dict[str, Any] = field(default_factory=dict[str, Any])
    last_call: str = ""
    #: What a hook said that did not let the agent end, unless the model has spoken since.
    feedback: str = ""
    answered: bool = False

    def is_without_answer(self) -> bool:
        """Tells whether the model never spoke, or not after what was written in its stead to tell of a failure.

        A result that says nothing of turns and tokens is believed.
        """
        if self.stand_in.get("error"):
            return True
        result = self.result or {}
        written = lines.text(result.get("result"))
        if self.stand_in and claude_limits.are_meant(written):
            return True
        if self.answered:
            return False
        tells = result.get("num_turns") == 0 or lines.record(result.get("usage")).get("output_tokens") == 0
        return tells or bool(self.stand_in) or claude_limits.are_meant(written)


class ClaudeParser:
    """Follows one process. Each turn begins with an `init` and ends with a `result`; the last one counts."""

    def __init__(self, *, structured: bool, session_cost_usd: float) -> None:
        self.progress = Progress()
        self._structured = structured
        self._earlier_cost = session_cost_usd
        self._session_id: SessionId | None = None
        self._turn = _Turn()
        self._limit: Limit | None = None
        self._denials: list[str] = []
        self._usage = Usage()

    def feed(self, line: bytes) -> None:
        """Takes one line."""
        for record in lines.parse(line):
            self._take(record)

    def finish(self, exit: Exit) -> Outcome:  # noqa: A002 - the field's word
        """Returns how the run ended."""
        structured_output, failure = self._judge(exit)
        return Outcome(
            failure=None if exit.cancelled else failure,
            cancelled=exit.cancelled,
            session_id=self._session_id,
            result=self._result_text(structured_output, failed=failure is not None),
            structured_output=structured_output,
            exit_code=-1 if exit.cancelled else exit.code,
            answered=self.progress.answered,
            usage=self._total_usage(),
            permission_denials=tuple(self._denials),
            stderr=exit.stderr,
        )

    def _take(self, record: dict[str, Any]) -> None:
        session_id = lines.text(record.get("session_id"))
        if _UUID.fullmatch(session_id):
            self._session_id = SessionId(session_id)
        match record.get("type"):
            case "system":
                self._take_notice(record)
            case "assistant":
                self._take_message(record)
            case "user":
                self._take_input(record)
            case "rate_limit_event":
                self._take_limit(lines.record(record.get("rate_limit_info")))
            case "result":
                self._take_result(record)
            case _:
                pass

    def _take_notice(self, record: dict[str, Any]) -> None:
        if record.get("subtype") == "init":
            # A further turn may follow a result by itself, when something in the background has ended.
            self._turn = _Turn()
            self.progress.done = False
        elif record.get("subtype") == "api_retry":
            self.progress.hopeless = self.progress.hopeless or claude_failures.of_retry(record)

    def _take_message(self, record: dict[str, Any]) -> None:
        # What is said within a subagent is not the answer.
        in_subagent = bool(record.get("parent_tool_use_id"))
        message = lines.record(record.get("message"))
        if lines.text(record.get("error")) or message.get("model") == _NO_MODEL:
            if not in_subagent:
                self._turn.stand_in = record
            return
        self.progress.answered = True
        self._limit = None
        turn = self._turn
        turn.answered = True
        if not in_subagent:
            turn.stand_in, turn.feedback = {}, ""
        for block in lines.records(message.get("content")):
            if block.get("type") == "tool_use" and (tool_use := lines.text(block.get("id"))):
                self.progress.running_tools.add(tool_use)
                turn.last_call = claude_failures.call(block.get("name"), block.get("input"))
            elif block.get("type") == "text" and not in_subagent:
                turn.text = lines.text(block.get("text")) or turn.text

    def _take_input(self, record: dict[str, Any]) -> None:
        for block in lines.records(lines.record(record.get("message")).get("content")):
            self.progress.running_tools.discard(lines.text(block.get("tool_use_id")))
            text = lines.text(block.get("text"))
            if record.get("isSynthetic") is True and text.startswith(_FEEDBACK):
                self._turn.feedback = text.removeprefix(_FEEDBACK).strip()

    def _take_limit(self, info: dict[str, Any]) -> None:
        self._limit = None
        if info.get("status") == "rejected":
            of_model = claude_limits.is_of_model(lines.text(info.get("rateLimitType")))
            try:
                self._limit = Limit(datetime.fromtimestamp(info["resetsAt"], UTC), of_model)
            except (KeyError, TypeError, ValueError, OverflowError, OSError):
                self._limit = Limit(None, of_model)

    def _take_result(self, record: dict[str, Any]) -> None:
        self._turn.result = record
        self.progress.done = True
        self.progress.running_tools.clear()
        for denial in lines.records(record.get("permission_denials"))[: _MAX_DENIALS - len(self._denials)]:
            self._denials.append(claude_failures.call(denial.get("tool_name"), denial.get("tool_input")))
        usage = lines.record(record.get("usage"))
        if _sum(None, usage.get("output_tokens")):
            # Its messages may be lost: see lines.parse.
            self._turn.answered = self.progress.answered = True
        earlier = self._usage
        self._usage = Usage(
            turns=_sum(earlier.turns, record.get("num_turns")),
            input_tokens=_sum(earlier.input_tokens, usage.get("input_tokens")),
            output_tokens=_sum(earlier.output_tokens, usage.get("output_tokens")),
            cache_read_tokens=_sum(earlier.cache_read_tokens, usage.get("cache_read_input_tokens")),
            cache_write_tokens=_sum(earlier.cache_write_tokens, usage.get("cache_creation_input_tokens")),
            cost_usd=_cost(record.get("total_cost_usd"), earlier.cost_usd),
        )

    def _judge(self, end: Exit) -> tuple[str | None, Failure | None]:
        """Returns the structured output and the failure, of which one or both may be absent."""
        if end.stopped_for:
            return None, end.stopped_for
        result = self._turn.result
        if result is None:
            return None, claude_failures.of_exit(end, self._limit, begun=self._session_id is not None)
        if failure := self._failure(result):
            return None, failure
        if not self._structured:
            return None, None
        # Claude Code reports success even when the model never gave the output that it was asked for.
        value: object = result.get("structured_output")
        output = "" if value is None else lines.dump(value)
        if not output:
            message = "The run ended without the structured output that its `output_schema` demands."
            return None, Failure(FailureKind.OUTPUT_MISSING, message)
        if len(output.encode()) > lines.MAX_STRUCTURED_OUTPUT:
            message = f"The structured output is larger than {lines.MAX_STRUCTURED_OUTPUT} bytes."
            return None, Failure(FailureKind.OUTPUT_MISSING, message)
        return output, None

    def _failure(self, result: dict[str, Any]) -> Failure | None:
        turn = self._turn
        # API errors come with the subtype "success".
        claims_success = result.get("is_error") is False and result.get("subtype") == "success"
        if not claims_success or lines.text(result.get("terminal_reason")) in claude_failures.UNFINISHED:
            return claude_failures.of_result(result, turn.stand_in, self._limit)
        if failure := claude_failures.of_hook(result, turn.last_call, turn.feedback):
            return failure
        if turn.is_without_answer():
            return claude_failures.of_no_answer(result, turn.stand_in, self._limit)
        return None

    def _result_text(self, structured_output: str | None, *, failed: bool) -> str | None:
        text = self._turn.text
        if self._turn.result and not failed and not self._structured:
            text = lines.text(self._turn.result.get("result")) or text
        return lines.head(text or structured_output or "", lines.MAX_RESULT, _CUT_RESULT) or None

    def _total_usage(self) -> Usage:
        total = self._usage.cost_usd
        if total is None:
            return dataclasses.replace(self._usage, session_cost_usd=self._earlier_cost)
        # Newer releases go on from the cost of the session that is resumed, older ones start at 0.
        own = total - self._earlier_cost if total >= self._earlier_cost else total
        return dataclasses.replace(self._usage, cost_usd=own, session_cost_usd=self._earlier_cost + own)


def _sum(earlier: int | None, value: object) -> int | None:
    """Adds a count to a sum that may not exist yet; what cannot be a count adds nothing."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        return earlier
    return (earlier or 0) + value


def _cost(value: object, earlier: float | None) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return earlier
    return float(value) if 0 <= value < 1e9 else earlier
