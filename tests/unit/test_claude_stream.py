"""What Claude Code's lines mean, case by case; shapes as the real one writes them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from taskgrove_server.agents import lines
from taskgrove_server.agents.agent import Exit
from taskgrove_server.agents.claude_stream import ClaudeParser
from taskgrove_server.domain.failures import Failure, FailureKind, Retry
from taskgrove_server.domain.run import Outcome, RunState

SESSION = "0b0e7f0e-6a3c-4f0c-9a52-3d4a5b8f6a11"
INIT = {"type": "system", "subtype": "init", "session_id": SESSION}


def line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def said(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(content)}, **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(tool_use_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_use_id, "name": "Bash", "input": {}}


def tool_result(tool_use_id: str) -> dict[str, Any]:
    return {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": tool_use_id}]}}


def result(words: str | None = "Done.", **more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": words, "session_id": SESSION, **more}


def stand_in(words: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"model": "<synthetic>", "content": [text(words)]}}


def api_error(error: str, status: int | None, words: str = "It failed.") -> list[dict[str, Any]]:
    message = said(text(words), error=error, is_api_error_message=True)
    return [INIT, message, result(words, is_error=True, api_error_status=status, terminal_reason="api_error")]


def fed(*records: dict[str, Any], structured: bool = False, cost: float = 0.0) -> ClaudeParser:
    parser = ClaudeParser(structured=structured, session_cost_usd=cost)
    for record in records:
        parser.feed(line(record))
    return parser


def outcome(*records: dict[str, Any], structured: bool = False, cost: float = 0.0, end: Exit | None = None) -> Outcome:
    return fed(*records, structured=structured, cost=cost).finish(end or Exit(code=0))


def failure(of: Outcome) -> Failure:
    assert of.failure is not None
    return of.failure


def test_the_last_result_counts() -> None:
    ran = outcome(INIT, result("Waiting."), INIT, said(text("Now.")), result("Now."))
    assert (ran.state, ran.result, ran.session_id) == (RunState.SUCCEEDED, "Now.", SESSION)


def test_a_turn_that_begins_after_a_result_must_end_with_one() -> None:
    parser = fed(INIT, result("Waiting."))
    assert parser.progress.done
    parser.feed(line(INIT))
    assert not parser.progress.done
    assert failure(parser.finish(Exit(code=0))).kind is FailureKind.CRASHED


def test_a_success_stays_one_when_its_process_lingers_and_is_killed() -> None:
    assert outcome(INIT, result(), end=Exit(code=137)).state is RunState.SUCCEEDED
    assert outcome(INIT, result(), end=Exit(code=None)).state is RunState.SUCCEEDED


def test_the_end_without_a_result_is_a_crash_even_with_exit_code_0() -> None:
    ran = outcome(INIT, said(text("Half")), end=Exit(code=0, stderr="panic at the disco"))
    assert (failure(ran).kind, ran.result) == (FailureKind.CRASHED, "Half")
    assert "panic at the disco" in failure(ran).message


def test_a_crash_names_the_signal() -> None:
    assert "SIGSEGV" in failure(outcome(INIT, end=Exit(code=139))).message


def test_a_run_that_nobody_saw_end_was_interrupted() -> None:
    assert failure(outcome(INIT, end=Exit(code=None))).kind is FailureKind.INTERRUPTED


def test_the_reason_for_which_a_run_was_stopped_is_its_failure() -> None:
    why = Failure(FailureKind.STALLED, "Silent for an hour.")
    assert outcome(INIT, end=Exit(code=143, stopped_for=why)).failure == why


def test_a_cancelled_run_has_no_failure_and_keeps_session_and_usage() -> None:
    interrupted = result(None, subtype="error_during_execution", is_error=True, usage={"input_tokens": 9})
    ran = outcome(INIT, interrupted, end=Exit(code=1, cancelled=True))
    assert (ran.state, ran.failure, ran.exit_code) == (RunState.CANCELLED, None, -1)
    assert (ran.session_id, ran.usage.input_tokens) == (SESSION, 9)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("authentication_failed", 401, FailureKind.AUTH),
        ("account_on_hold", None, FailureKind.AUTH),
        ("unknown", 403, FailureKind.AUTH),
        ("billing_error", 400, FailureKind.BILLING),
        ("unknown", 402, FailureKind.BILLING),
        ("model_not_found", 404, FailureKind.MODEL_NOT_FOUND),
        ("rate_limit", 429, FailureKind.RATE_LIMITED),
        ("server_error", 500, FailureKind.OVERLOADED),
        ("server_error", None, FailureKind.OVERLOADED),
        ("overloaded", 529, FailureKind.OVERLOADED),
        ("unknown", 503, FailureKind.OVERLOADED),
        ("invalid_request", 413, FailureKind.CONTEXT_FULL),
        ("max_output_tokens", None, FailureKind.AGENT),
        ("unknown", 400, FailureKind.AGENT),
        ("of a later release", 299, FailureKind.AGENT),
    ],
)
def test_an_api_error_is_no_success_and_has_a_kind(error: str, status: int | None, kind: FailureKind) -> None:
    ran = outcome(*api_error(error, status), end=Exit(code=1))
    assert (failure(ran).kind, failure(ran).http_status) == (kind, status)
    assert failure(ran).message.startswith("It failed.")
    assert ran.result is None


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"subtype": "error_max_turns", "errors": ["Reached 2"]}, FailureKind.MAX_TURNS),
        ({"subtype": "error_max_budget_usd"}, FailureKind.BUDGET),
        ({"subtype": "error_max_structured_output_retries"}, FailureKind.OUTPUT_MISSING),
        ({"terminal_reason": "prompt_too_long"}, FailureKind.CONTEXT_FULL),
        ({"stop_reason": "refusal"}, FailureKind.REFUSED),
        ({"result": "API Error: The model has reached its context window limit."}, FailureKind.CONTEXT_FULL),
        (
            {"subtype": "error_during_execution", "errors": [f"No conversation found with session ID: {SESSION}"]},
            FailureKind.SESSION_LOST,
        ),
        ({"subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, FailureKind.AGENT),
        ({"subtype": "error_of_a_later_release"}, FailureKind.AGENT),
    ],
)
def test_a_result_that_is_no_success_has_a_kind(record: dict[str, Any], kind: FailureKind) -> None:
    assert failure(outcome(INIT, result(None, is_error=True) | record)).kind is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Failed to authenticate: OAuth session expired and could not be refreshed", FailureKind.AUTH),
        ('API Error: 401 {"error":{"message":"OAuth token has expired."}} · Please run /login', FailureKind.AUTH),
        ("Your ANTHROPIC_API_KEY belongs to a disabled organization · Update it", FailureKind.AUTH),
        ("API Error: 400 Your credit balance is too low to access the API.", FailureKind.BILLING),
        ("API Error: 400 You have reached your specified API usage limits.", FailureKind.RATE_LIMITED),
        ('API Error: 429 {"type":"error","error":{"type":"rate_limit_error"}}', FailureKind.RATE_LIMITED),
        ("API Error: Connection error.", FailureKind.OVERLOADED),
        ("API Error: 400 messages: at least one message is required", FailureKind.AGENT),
    ],
)
def test_an_error_that_is_told_in_words_alone(words: str, kind: FailureKind) -> None:
    assert failure(outcome(INIT, stand_in(words), result(words, is_error=True))).kind is kind


def test_a_result_that_does_not_say_whether_it_is_an_error_is_one() -> None:
    assert failure(outcome(INIT, {"type": "result", "subtype": "success", "result": "?"})).kind is FailureKind.AGENT


def test_what_is_left_to_a_person_says_what_to_do() -> None:
    assert "ANTHROPIC_API_KEY" in failure(outcome(*api_error("authentication_failed", 401))).message


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Exit(code=1, stderr="error: unknown option '--frob'"), FailureKind.INVALID_CONFIG),
        (Exit(code=1, stderr="No conversation found with session ID: x"), FailureKind.SESSION_LOST),
        (Exit(code=1, stderr="Not logged in · Please run /login"), FailureKind.AUTH),
        (Exit(code=127, stderr="env: 'node': No such file or directory"), FailureKind.AGENT_NOT_FOUND),
        (Exit(code=1, stderr="Error: Cannot find module '/usr/lib/claude/cli.js'"), FailureKind.AGENT_NOT_FOUND),
        (Exit(code=126), FailureKind.AGENT_NOT_FOUND),
        (Exit(code=137, stderr="Killed"), FailureKind.CRASHED),
        (Exit(code=1), FailureKind.CRASHED),
    ],
)
def test_an_end_before_there_is_a_session_is_judged_by_standard_error(end: Exit, kind: FailureKind) -> None:
    ran = outcome(end=end)
    assert (failure(ran).kind, ran.session_id) == (kind, None)
    assert end.stderr in failure(ran).message


def test_a_warning_on_standard_error_does_not_make_a_configuration_invalid() -> None:
    assert failure(outcome(INIT, end=Exit(code=1, stderr="warning: x"))).kind is FailureKind.CRASHED


def retry(status: int | None, attempt: int) -> dict[str, Any]:
    return {"type": "system", "subtype": "api_retry", "attempt": attempt, "error_status": status}


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_hopeless_once_a_renewed_token_was_refused_too(status: int) -> None:
    parser = fed(INIT, retry(status, 1))
    assert parser.progress.hopeless is None
    parser.feed(line(retry(status, 2)))
    assert parser.progress.hopeless is not None
    assert (parser.progress.hopeless.kind, parser.progress.hopeless.http_status) == (FailureKind.AUTH, status)


@pytest.mark.parametrize("status", [429, 500, 529, None])
def test_other_retries_are_left_to_claude_code(status: int | None) -> None:
    assert fed(INIT, retry(status, 9)).progress.hopeless is None


def limit(status: str, resets: object = 1_893_456_000) -> dict[str, Any]:
    return {"type": "rate_limit_event", "rate_limit_info": {"status": status, "resetsAt": resets}}


def test_a_spent_limit_says_when_it_ends() -> None:
    ran = outcome(INIT, limit("rejected"), *api_error("rate_limit", 429)[1:])
    assert failure(ran).retry_time == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "event", [limit("allowed"), limit("rejected", None), limit("rejected", 1e300), limit("rejected", "soon")]
)
def test_a_limit_whose_end_is_not_known_has_none(event: dict[str, Any]) -> None:
    ran = outcome(INIT, event, *api_error("rate_limit", 429)[1:])
    assert (failure(ran).kind, failure(ran).retry_time) == (FailureKind.RATE_LIMITED, None)


def test_a_rejected_limit_is_the_reason_of_a_failure_that_gives_none() -> None:
    for last in (result("Oh no.", is_error=True), result(None, subtype="error_during_execution", is_error=True)):
        told = failure(outcome(INIT, limit("rejected"), last, end=Exit(code=1)))
        assert (told.kind, told.retry_time) == (FailureKind.RATE_LIMITED, datetime(2030, 1, 1, tzinfo=UTC))
    assert failure(outcome(INIT, limit("rejected"), end=Exit(code=1))).kind is FailureKind.RATE_LIMITED
    assert failure(outcome(INIT, limit("rejected"), *api_error("authentication_failed", 401)[1:])).kind is (
        FailureKind.AUTH
    )


def test_a_limit_in_spite_of_which_the_model_answers_is_none() -> None:
    spoken = [INIT, limit("rejected"), said(text("Here I am."))]
    assert outcome(*spoken, result()).state is RunState.SUCCEEDED
    assert failure(outcome(*spoken, result("Oh no.", is_error=True))).kind is FailureKind.AGENT


LIMIT = "You've hit your limit · resets 3pm (UTC)"


@pytest.mark.parametrize(
    "records",
    [
        [result(LIMIT, num_turns=0)],
        [result(LIMIT)],
        [stand_in(LIMIT), result(LIMIT, num_turns=1)],
        [said(text("I begin.")), stand_in(LIMIT), result(LIMIT, num_turns=2, usage={"output_tokens": 9})],
        [said(text(LIMIT), error="rate_limit"), result(LIMIT, num_turns=1)],
        [stand_in("Claude AI usage limit reached|1893456000"), result("Claude AI usage limit reached|1893456000")],
        [limit("rejected"), result("", num_turns=0)],
    ],
)
def test_a_limit_that_is_told_as_a_success_is_a_limit(records: list[dict[str, Any]]) -> None:
    ran = outcome(INIT, *records)
    assert (failure(ran).kind, failure(ran).retry_time is None) == (FailureKind.RATE_LIMITED, False)
    assert ran.result in {None, "I begin."}


def test_an_answer_that_speaks_of_a_limit_is_an_answer() -> None:
    usage = {"output_tokens": 9}
    assert outcome(INIT, said(text(LIMIT)), result(LIMIT, num_turns=1, usage=usage)).result == LIMIT
    assert outcome(INIT, said(text(LIMIT)), result(LIMIT)).result == LIMIT
    # Of which the messages are lost.
    assert outcome(INIT, result("All limits are well.", num_turns=1, usage=usage)).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    "records",
    [
        [result("", num_turns=0, usage={"output_tokens": 0})],
        [stand_in("Unknown command: /nonsense"), result("Unknown command: /nonsense", num_turns=0)],
        [stand_in("Set model to `Opus`"), result("Set model to `Opus`")],
        [
            result(
                "UserPromptSubmit operation blocked by hook:\nno\n\nOriginal prompt: Overloaded limit reached",
                num_turns=0,
            )
        ],
        [said(text("One.")), result("One."), INIT, result("Operation stopped by hook: closed", num_turns=0)],
    ],
)
def test_a_success_without_a_word_of_the_model_is_blocked(records: list[dict[str, Any]]) -> None:
    ran = outcome(INIT, *records)
    told = failure(ran)
    assert (told.kind, told.automatic, told.retryable) == (FailureKind.BLOCKED, Retry.NEVER, False)
    assert lines.text(records[-1]["result"]) in told.message
    assert ran.result is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Not logged in · Please run /login", FailureKind.AUTH),
        ("Invalid API key · Fix external API key", FailureKind.AUTH),
        ("Credit balance is too low", FailureKind.BILLING),
        ("Prompt is too long", FailureKind.CONTEXT_FULL),
    ],
)
def test_what_claude_code_says_itself_is_no_answer(words: str, kind: FailureKind) -> None:
    assert failure(outcome(INIT, stand_in(words), result(words))).kind is kind
    assert outcome(INIT, said(text(words)), result(words)).state is RunState.SUCCEEDED


def test_an_error_in_the_models_stead_is_no_success_whatever_came_before() -> None:
    broken = said(text("It broke."), error="unknown")
    assert failure(outcome(INIT, said(text("I begin.")), broken, result("It broke."))).kind is FailureKind.AGENT
    assert outcome(INIT, broken, said(text("It works again.")), result()).state is RunState.SUCCEEDED
    in_subagent = said(text("It broke."), error="unknown", parent_tool_use_id="toolu_1")
    assert outcome(INIT, said(text("I begin.")), in_subagent, result()).state is RunState.SUCCEEDED


CALL = {"type": "tool_use", "id": "a", "name": "Bash", "input": {"command": "deploy --now"}}


@pytest.mark.parametrize(
    ("records", "named"),
    [
        (
            [
                result(
                    "", terminal_reason="tool_deferred", deferred_tool_use={"name": "Write", "input": {"x": "y" * 999}}
                ),
            ],
            'Write: {"x": "yyy',
        ),
        ([result("", stop_reason="tool_deferred")], "Bash: deploy --now"),
        ([result("", stop_reason="tool_use", terminal_reason="hook_stopped")], "Bash: deploy --now"),
        (
            [
                {
                    "type": "user",
                    "isSynthetic": True,
                    "message": {"content": [text("Stop hook feedback:\ntests fail")]},
                },
                result("", terminal_reason="completed"),
            ],
            "tests fail",
        ),
    ],
)
def test_a_hook_that_ends_a_run_blocks_it_and_the_message_says_at_what(
    records: list[dict[str, Any]], named: str
) -> None:
    told = failure(outcome(INIT, said(text("I will."), CALL), *records))
    assert told.kind is FailureKind.BLOCKED
    assert named in told.message
    assert len(told.message) < 1000


def test_a_hook_that_lets_the_agent_end_after_all_blocks_nothing() -> None:
    feedback = {"type": "user", "isSynthetic": True, "message": {"content": [text("Stop hook feedback:\nmore")]}}
    assert outcome(INIT, said(text("Done?")), feedback, said(text("Done.")), result()).state is RunState.SUCCEEDED
    # It was about to end anyway.
    ended = result(terminal_reason="stop_hook_prevented")
    assert outcome(INIT, said(text("Done.")), ended).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("aborted_tools", FailureKind.AGENT),
        ("api_error", FailureKind.AGENT),
        ("blocking_limit", FailureKind.CONTEXT_FULL),
        ("max_turns", FailureKind.MAX_TURNS),
    ],
)
def test_a_success_that_was_cut_short_is_none(reason: str, kind: FailureKind) -> None:
    assert failure(outcome(INIT, said(text("I begin.")), result("", terminal_reason=reason))).kind is kind


def test_the_first_word_of_the_model_shows_that_it_answers() -> None:
    parser = fed(INIT, limit("allowed"), stand_in("No response requested."), said(text("No."), error="rate_limit"))
    assert not parser.progress.answered
    parser.feed(line(said(tool_use("a"))))
    assert parser.progress.answered


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Loading {config} ", b""),
        (b'{"unfinished": ', b""),
        (b"\x1b[0m\x1b]0;title\x07", b"\x1b[0m"),
        (b"\xef\xbb\xbf", b"\r"),
        (b"\0" * 4096, b"\0"),
        (b"\xff\xfe", b" trailing {words}"),
        (line(said(text("One more.")))[:-1], b""),
    ],
)
def test_a_result_counts_whatever_is_glued_to_it(before: bytes, after: bytes) -> None:
    parser = fed(INIT, said(text("Working.")))
    parser.feed(before + line(result("Done.", num_turns=1))[:-1] + after + b"\n")
    ran = parser.finish(Exit(code=0))
    assert (ran.state, ran.result) == (RunState.SUCCEEDED, "Done.")


def test_a_result_in_a_broken_line_of_another_kind_is_none() -> None:
    inner = json.dumps(result("Done."))
    parser = fed(INIT)
    parser.feed(f'{{"type":"assistant","message":{{"content":[{{"type":"tool_use","input":{inner}}},{inner}'.encode())
    assert failure(parser.finish(Exit(code=1))).kind is FailureKind.CRASHED


def test_a_large_result_counts() -> None:
    ran = outcome(INIT, said(text("x")), result("ü" * (20 << 20)))
    assert ran.state is RunState.SUCCEEDED
    assert (ran.result or "").endswith("(cut here; the log has the rest)")


def test_structured_output_is_json_text() -> None:
    ran = outcome(INIT, result('{"n":7}', structured_output={"n": 7, "ü": []}), structured=True)
    assert (ran.state, json.loads(ran.structured_output or "")) == (RunState.SUCCEEDED, {"n": 7, "ü": []})
    assert ran.result == ran.structured_output


def test_beside_structured_output_the_last_text_is_the_result() -> None:
    ran = outcome(INIT, said(text("Counted.")), result('{"n":7}', structured_output={"n": 7}), structured=True)
    assert ran.result == "Counted."


def test_a_success_without_the_structured_output_that_was_asked_for_is_none() -> None:
    for missing in ({}, {"structured_output": None}, {"structured_output": math.inf}):
        ran = outcome(INIT, result("Just text.", **missing), structured=True)
        assert (failure(ran).kind, ran.structured_output) == (FailureKind.OUTPUT_MISSING, None)


def test_structured_output_that_was_not_asked_for_is_left_out() -> None:
    assert outcome(INIT, result(structured_output={"n": 7})).structured_output is None


def test_a_structured_output_that_is_too_large_fails_the_run() -> None:
    ran = outcome(INIT, result(structured_output={"x": "x" * lines.MAX_STRUCTURED_OUTPUT}), structured=True)
    assert (failure(ran).kind, ran.structured_output) == (FailureKind.OUTPUT_MISSING, None)
    assert str(lines.MAX_STRUCTURED_OUTPUT) in failure(ran).message


def test_a_result_that_is_too_long_is_cut_between_characters_and_says_so() -> None:
    ran = outcome(INIT, result("ü" * lines.MAX_RESULT))
    assert ran.result is not None
    assert ran.result.startswith("üüü")
    assert ran.result.endswith("(cut here; the log has the rest)")
    assert lines.MAX_RESULT - 2 <= len(ran.result.encode()) <= lines.MAX_RESULT


def test_a_failures_message_has_a_bound() -> None:
    ran = outcome(*api_error("authentication_failed", 401, "x" * 200_000))
    assert len(failure(ran).message.encode()) <= lines.MAX_MESSAGE
    ran = outcome(end=Exit(code=1, stderr="`" * 65_536))
    assert len(failure(ran).message.encode()) <= lines.MAX_MESSAGE


def test_a_subagent_does_not_speak_for_the_agent() -> None:
    subagent = said(text("I looked."), parent_tool_use_id="toolu_1")
    ran = outcome(INIT, said(text("I think.")), subagent, result(None, subtype="error_max_turns", is_error=True))
    assert ran.result == "I think."


def test_tools_run_from_their_use_to_their_result_and_none_after_the_turn() -> None:
    parser = fed(INIT, said(tool_use("a"), tool_use("b")))
    assert parser.progress.running_tools == {"a", "b"}
    parser.feed(line(tool_result("a")))
    assert parser.progress.running_tools == {"b"}
    parser.feed(line(result()))
    assert parser.progress.running_tools == set()


def test_the_usage_of_all_turns_of_a_process_is_added_up() -> None:
    usage = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}
    first = result(num_turns=2, usage=usage, total_cost_usd=0.5)
    ran = outcome(INIT, first, INIT, result(num_turns=1, usage=usage, total_cost_usd=0.75))
    counts = (ran.usage.turns, ran.usage.input_tokens, ran.usage.output_tokens)
    assert counts == (3, 20, 6)
    assert (ran.usage.cache_read_tokens, ran.usage.cache_write_tokens) == (10, 4)
    assert ran.usage.cost_usd == pytest.approx(0.75)


@pytest.mark.parametrize("total", [2.5, 0.5])
def test_the_own_cost_is_told_whether_claude_code_counts_by_session_or_by_process(total: float) -> None:
    ran = outcome(INIT, result(total_cost_usd=total), cost=2.0)
    assert ran.usage.cost_usd == pytest.approx(0.5)
    assert ran.usage.session_cost_usd == pytest.approx(2.5)


def test_a_run_that_does_not_tell_its_cost_leaves_that_of_the_session_as_it_was() -> None:
    usage = outcome(INIT, end=Exit(code=1), cost=2.0).usage
    assert (usage.cost_usd, usage.session_cost_usd) == (None, 2.0)


def test_denied_tools_are_told_in_short_up_to_a_bound() -> None:
    denials = [
        {"tool_name": "Bash", "tool_input": {"command": "curl\n  example.org"}},
        {"tool_name": "Write", "tool_input": {"file_path": "/etc/passwd", "content": "x" * 9999}},
        {"tool_name": "Odd", "tool_input": {"x": 1}},
        {"tool_name": "Bash", "tool_input": {"command": "y" * 9999}},
    ]
    told = outcome(INIT, result(permission_denials=[*denials, *[{}] * 200])).permission_denials
    assert told[:3] == ("Bash: curl example.org", "Write: /etc/passwd", 'Odd: {"x": 1}')
    assert (len(told), max(map(len, told))) == (100, 500)


def test_lines_that_are_no_json_objects_are_passed_over() -> None:
    parser = fed(INIT)
    for other in (b"", b"\n", b"hello\n", b"[1]\n", b"\xff\xfe\n", b"7\n", b"{" * 100_000, b'{"a":' * 100_000):
        parser.feed(other)
    assert not parser.progress.done
    parser.feed(line(result()))
    assert parser.finish(Exit(code=0)).state is RunState.SUCCEEDED


@pytest.mark.parametrize("number", [10**400, -1, math.nan, math.inf, True, "1", None])
def test_a_number_that_cannot_be_is_not_counted(number: object) -> None:
    usage = outcome(INIT, result(num_turns=number, usage={"input_tokens": number}, total_cost_usd=number)).usage
    assert (usage.turns, usage.input_tokens, usage.cost_usd) == (None, None, None)


def test_half_a_surrogate_pair_does_not_reach_what_is_stored() -> None:
    half = "\ud800"
    denial = {"tool_name": half, "tool_input": {"command": half}}
    ran = outcome(INIT, said(text(half)), result(half, structured_output={"x": half}, permission_denials=[denial]))
    assert ran.result == "?"
    structured = outcome(INIT, result(half, structured_output={"x": half}), structured=True)
    assert json.loads(structured.structured_output or "") == {"x": "?"}
    assert ran.permission_denials == ("?: ?",)
    assert failure(outcome(*api_error("unknown", 400, half))).message == "?"
