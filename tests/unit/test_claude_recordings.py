"""Recorded runs of the real Claude Code 2.1.330, and what may become of their lines.

tests/integration/test_claude_cli.py records them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrove_server.agents.agent import Exit
from taskgrove_server.agents.claude_stream import ClaudeParser
from taskgrove_server.domain.failures import FailureKind

RECORDINGS = {path.stem: path for path in (Path(__file__).parents[1] / "recordings").glob("claude_*.ndjson")}

EXPECTED: dict[str, FailureKind | None] = {
    "claude_success": None,
    "claude_structured": None,
    "claude_overloaded_once": None,
    "claude_denied": None,
    "claude_unauthorized": FailureKind.AUTH,
    "claude_not_logged_in": FailureKind.AUTH,
    "claude_model_not_found": FailureKind.MODEL_NOT_FOUND,
    "claude_overloaded": FailureKind.OVERLOADED,
    "claude_rate_limited": FailureKind.RATE_LIMITED,
    "claude_output_ignored": FailureKind.OUTPUT_MISSING,
    "claude_max_turns": FailureKind.MAX_TURNS,
    "claude_session_lost": FailureKind.SESSION_LOST,
    "claude_interrupted": FailureKind.AGENT,
}

STRUCTURED = {"claude_structured", "claude_output_ignored"}


@pytest.mark.parametrize("name", sorted(RECORDINGS.keys() | EXPECTED.keys()))
def test_a_recorded_run_ends_as_it_did(name: str) -> None:
    parser = ClaudeParser(structured=name in STRUCTURED, session_cost_usd=0.0)
    for line in RECORDINGS[name].read_bytes().splitlines(keepends=True):
        parser.feed(line)
    ran = parser.finish(Exit(code=0, stopped_for=parser.progress.hopeless))
    assert (ran.failure and ran.failure.kind) == EXPECTED[name]
    assert ran.session_id is not None
    assert parser.progress.running_tools == set()


LINES = [json.loads(line) for path in RECORDINGS.values() for line in path.read_bytes().splitlines()]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Returns a recorded line, with some of its values replaced by others, and maybe cut."""
    record: Any = json.loads(json.dumps(draw(st.sampled_from(LINES))))
    for _ in range(draw(st.integers(0, 3))):
        place = record
        while True:
            keys: list[Any] = list(cast(dict[str, Any], place)) if isinstance(place, dict) else [*range(len(place))]
            key = draw(st.sampled_from(keys))
            inner: Any = place[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                place[key] = draw(VALUES)
                break
            place = cast(Any, inner)
    data = json.dumps(record).encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


@given(
    read=st.lists(mutated() | st.binary(), max_size=8), structured=st.booleans(), code=st.none() | st.integers(0, 255)
)
@settings(deadline=None, max_examples=200)
def test_nothing_that_a_log_may_hold_raises(read: list[bytes], structured: bool, code: int | None) -> None:
    parser = ClaudeParser(structured=structured, session_cost_usd=0.0)
    for line in read:
        parser.feed(line)
    ran = parser.finish(Exit(code=code))
    # Nor does what is kept of it, on its way to the store or the wire.
    for text in (ran.result, ran.structured_output, ran.failure and ran.failure.message, *ran.permission_denials):
        (text or "").encode()
    json.loads(ran.structured_output or "null")
