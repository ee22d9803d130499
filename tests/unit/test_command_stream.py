"""What a command's lines and exit code mean for its run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrove_server.agents import command_stream, lines
from taskgrove_server.agents.agent import Exit
from taskgrove_server.agents.command_stream import CommandParser
from taskgrove_server.domain.failures import Failure, FailureKind, Retry
from taskgrove_server.domain.ids import SessionId
from taskgrove_server.domain.run import Outcome, RunState

SESSION = SessionId("0b0e7f0e-6a3c-4f0c-9a52-3d4a5b8f6a11")


def parser(*, structured: bool = False) -> CommandParser:
    return CommandParser(session_id=SESSION, structured=structured)


def output(text: str, stream: str = "stdout") -> bytes:
    return json.dumps({"type": "output", "stream": stream, "text": text}).encode() + b"\n"


def end(code: int, **more: object) -> bytes:
    return json.dumps({"type": "exit", "exit_code": code, **more}).encode() + b"\n"


def outcome(*read: bytes, structured: bool = False, exit_: Exit | None = None) -> Outcome:
    subject = parser(structured=structured)
    for line in read:
        subject.feed(line)
    return subject.finish(exit_ or Exit(code=json.loads(read[-1]).get("exit_code")))


def failure(of: Outcome) -> Failure:
    assert of.failure is not None
    return of.failure


def test_success_shows_what_the_command_printed_and_keeps_its_session() -> None:
    ran = outcome(output("one"), output("oops", "stderr"), output("two"), end(0))
    assert (ran.state, ran.result, ran.exit_code, ran.session_id) == (RunState.SUCCEEDED, "one\ntwo", 0, SESSION)


def test_a_long_output_is_shown_from_its_end() -> None:
    ran = outcome(*[output(f"line {number} {'ü' * 50}") for number in range(2000)], end(0))
    assert ran.result is not None
    assert ran.result.endswith(f"line 1999 {'ü' * 50}")
    assert command_stream.MAX_TAIL - 4 <= len(ran.result.encode()) <= command_stream.MAX_TAIL


def test_the_recorded_exit_code_decides_even_when_nobody_saw_the_process_end() -> None:
    assert outcome(end(0), exit_=Exit(code=None)).state is RunState.SUCCEEDED


def test_another_exit_code_is_a_final_failure_that_quotes_the_last_words() -> None:
    ran = outcome(output("working"), output("error: no such file", "stderr"), end(2))
    assert (failure(ran).kind, ran.exit_code) == (FailureKind.AGENT, 2)
    assert failure(ran).automatic is Retry.NEVER
    assert "exited with code 2" in failure(ran).message
    assert "error: no such file" in failure(ran).message


def test_without_standard_error_the_output_is_quoted() -> None:
    assert "all I said" in failure(outcome(output("all I said"), end(1))).message


def test_exit_code_75_is_tried_again_later() -> None:
    ran = outcome(end(75))
    assert failure(ran).kind is FailureKind.OVERLOADED
    assert failure(ran).automatic is Retry.RESUME_LATER


def test_a_program_that_could_not_be_started_is_told_from_one_that_exits_with_127() -> None:
    ran = outcome(end(127, error="No such file or directory: 'nope'"))
    assert failure(ran).kind is FailureKind.AGENT_NOT_FOUND
    assert "'nope'" in failure(ran).message
    assert failure(outcome(end(127))).kind is FailureKind.AGENT


def test_a_signal_is_a_crash_that_is_not_tried_again() -> None:
    ran = outcome(end(137, signal=9))
    assert failure(ran).kind is FailureKind.CRASHED
    assert failure(ran).automatic is Retry.NEVER


def test_a_wrapper_that_was_killed_is_a_crash_with_its_last_words() -> None:
    ran = outcome(output("so far"), exit_=Exit(code=137, stderr="No space left on device"))
    assert (failure(ran).kind, ran.exit_code, ran.result) == (FailureKind.CRASHED, 137, "so far")


def test_a_run_that_nobody_saw_end_was_interrupted() -> None:
    assert failure(outcome(output("so far"), exit_=Exit(code=None))).kind is FailureKind.INTERRUPTED


def test_the_reason_for_which_a_run_was_stopped_is_its_failure() -> None:
    why = Failure(FailureKind.TIMEOUT, f"longer than {timedelta(hours=4)}")
    failure = outcome(end(143, signal=15), exit_=Exit(code=143, stopped_for=why)).failure
    assert failure == replace(why, final=True)


def test_a_command_that_stalled_is_not_run_again_unasked() -> None:
    why = Failure(FailureKind.STALLED, "silent")
    assert why.automatic is Retry.RESUME
    failure = outcome(end(143, signal=15), exit_=Exit(code=143, stopped_for=why)).failure
    assert failure is not None
    assert failure.automatic is Retry.NEVER


def test_a_cancelled_run_has_no_failure_and_keeps_its_session() -> None:
    ran = outcome(output("so far"), end(143, signal=15), exit_=Exit(code=143, cancelled=True))
    assert (ran.state, ran.failure, ran.exit_code, ran.session_id) == (RunState.CANCELLED, None, -1, SESSION)


def test_the_last_json_object_is_the_structured_output() -> None:
    ran = outcome(output('{"n": 1}'), output('  {"n": 2} '), output("[3]"), output("{4}"), end(0), structured=True)
    assert (ran.structured_output, ran.failure) == ('{"n": 2}', None)


def test_a_json_object_is_only_text_when_no_schema_asks_for_it() -> None:
    assert outcome(output('{"n": 1}'), end(0)).structured_output is None


@pytest.mark.parametrize("text", ["", "[1]", "{1}", '"{}"'])
def test_a_run_without_the_json_object_that_a_schema_demands_fails(text: str) -> None:
    ran = outcome(output(text), output("{}", "stderr"), end(0), structured=True)
    assert failure(ran).kind is FailureKind.OUTPUT_MISSING
    assert failure(ran).automatic is Retry.NEVER


def test_a_structured_output_that_is_too_large_fails_the_run() -> None:
    large = json.dumps({"text": "x" * lines.MAX_STRUCTURED_OUTPUT})
    ran = outcome(output(large), end(0), structured=True)
    assert (failure(ran).kind, ran.structured_output) == (FailureKind.OUTPUT_MISSING, None)
    assert str(lines.MAX_STRUCTURED_OUTPUT) in failure(ran).message


def test_the_end_is_known_as_soon_as_it_is_recorded() -> None:
    subject = parser()
    subject.feed(output("one"))
    assert not subject.progress.done
    subject.feed(end(0))
    assert subject.progress.done


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", '{"a": "\ud800"}']),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
RECORDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["output", "exit"])},
    optional=dict.fromkeys(("stream", "text", "base64", "exit_code", "signal", "error"), VALUES),
)


@given(read=st.lists(st.binary() | RECORDS.map(lambda record: json.dumps(record).encode())), structured=st.booleans())
@settings(deadline=None)
def test_nothing_that_a_log_may_hold_raises(read: list[bytes], structured: bool) -> None:
    ran = outcome(*read, structured=structured, exit_=Exit(code=1))
    # Nor does what is kept of it, on its way to the store or the wire.
    for text in (ran.result, ran.structured_output, ran.failure and ran.failure.message):
        (text or "").encode()
