"""Requests that are right or wrong by themselves; the acceptance tests hold the same rules over the wire."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.task_service_pb2 import EnqueueRequest
from taskgrove_server.api import conversions
from taskgrove_server.api.validation import checks, tasks
from taskgrove_server.api.validation.checks import Checks
from taskgrove_server.domain import errors, ids

PROTOS = Path(__file__).parents[2] / "protos/taskgrove/v1"

#: All controls and line breaks of Unicode are among the first.
CHARACTERS = [*map(chr, range(0x3000)), "\ufeff", "\uffff", "\U0001f332", "\U0010ffff"]


def is_right(check: Callable[[Checks], None]) -> bool:
    try:
        with Checks() as checks:
            check(checks)
    except errors.InvalidRequest:
        return False
    return True


def refused_characters(check: Callable[[Checks, str], None]) -> set[str]:
    def is_taken(character: str) -> bool:
        return is_right(lambda checks: check(checks, character))

    return {character for character in CHARACTERS if not is_taken(character)}


def test_a_title_may_have_any_character_but_controls_and_line_breaks() -> None:
    refused = refused_characters(lambda checks, character: checks.title("f", f"a{character}b", 9))
    assert refused == {character for character in CHARACTERS if unicodedata.category(character) in {"Cc", "Zl", "Zp"}}


def test_a_text_may_have_line_ends_and_tabs_too() -> None:
    refused = refused_characters(lambda checks, character: checks.text("f", character))
    controls = {character for character in CHARACTERS if unicodedata.category(character) == "Cc"}
    assert refused == controls - set("\n\r\t")


def test_a_path_may_have_any_character_but_controls() -> None:
    refused = refused_characters(lambda checks, character: checks.path("f", f"/{character}", absolute=True))
    assert refused == {character for character in CHARACTERS if unicodedata.category(character) == "Cc"}


def is_subdirectory(path: str) -> bool:
    request = EnqueueRequest(task_list_id="a" * 12, title="Title", subdirectory=path)
    try:
        tasks.enqueue(request, ["command"])
    except errors.InvalidRequest as refused:
        return refused.metadata["field"] != "subdirectory"
    return True


#: What there is in paths, and what is near to what must not be in them.
PARTS = st.sampled_from(
    ["a", "b c", "", ".", "..", ".git", ".GIT", ".github", "x.git", "...", "ü", "*", ":", "-x", "~"]
)


@given(st.lists(PARTS, max_size=6))
def test_a_subdirectory_stays_in_the_repository_and_is_stored_in_one_form(parts: list[str]) -> None:
    path = "/".join(parts)
    refused = path.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts)
    assert is_subdirectory(path) is not refused
    if not refused:
        stored = conversions.to_subdirectory(path)
        # As the operating system reads it.
        assert os.path.normpath(f"/top/{path}") == (f"/top/{stored}" if stored else "/top")
        assert conversions.to_subdirectory(stored) == stored
        assert not stored.startswith("/")


def test_a_subdirectory_may_have_any_character_but_controls() -> None:
    refused = {character for character in CHARACTERS[::7] if not is_subdirectory(f"a/b{character}c")}
    assert refused == {character for character in CHARACTERS[::7] if unicodedata.category(character) == "Cc"}


def test_a_subdirectory_is_bounded_in_bytes() -> None:
    assert is_subdirectory("é" * (checks.PATH // 2))
    assert not is_subdirectory("é" * (checks.PATH // 2) + "x")


def is_id(text: str) -> bool:
    return is_right(lambda checks: checks.id("f", text))


@given(st.text() | st.from_regex("[a-z0-9]{11,13}\n?", fullmatch=True))
def test_an_id_is_twelve_characters_of_base_32(text: str) -> None:
    assert is_id(text) == bool(re.fullmatch("[a-z2-7]{12}", text))


def test_the_ids_that_are_made_are_ids() -> None:
    for _ in range(1000):
        for made in (ids.new_task_id(), ids.new_task_list_id()):
            assert is_id(made)


@given(st.text() | st.from_regex(r"[A-Za-z0-9._:-]{1,70}\n?", fullmatch=True))
def test_a_request_id_is_empty_or_up_to_64_plain_characters(text: str) -> None:
    assert is_right(lambda checks: checks.request_id(text)) == bool(re.fullmatch(r"[A-Za-z0-9._:-]{0,64}", text))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_duration_is_well_formed_and_between_its_bounds(seconds: int, nanos: int) -> None:
    message = Duration(seconds=seconds, nanos=nanos)
    expected = abs(nanos) < 10**9 and 10**9 <= seconds * 10**9 + nanos <= 300 * 10**9
    assert is_right(lambda checks: checks.duration("f", message, 1, 300)) == expected


@pytest.mark.parametrize("path", ["a/..", "../a", "a/../b", ".."])
def test_a_relative_path_does_not_climb(path: str) -> None:
    assert not is_right(lambda checks: checks.path("f", path, absolute=False))
    assert is_right(lambda checks: checks.path("f", f"/{path}", absolute=False))


def test_every_violation_is_kept_in_order() -> None:
    request = EnqueueRequest(title="a\nb", overrides=RunConfig(max_turns=0, model="m" * 201))
    with pytest.raises(errors.InvalidRequest) as caught:
        tasks.enqueue(request, {"claude"})
    assert [field for field, _ in caught.value.violations] == [
        "task_list_id",
        "title",
        "overrides.model",
        "overrides.max_turns",
    ]


def test_the_agents_that_there_are_decide_what_may_be_asked_for() -> None:
    assert is_right(lambda checks: checks.config("f", RunConfig(agent="new"), {"new"}))
    assert not is_right(lambda checks: checks.config("f", RunConfig(agent="claude"), {"new"}))


def test_the_largest_request_is_checked_in_no_time() -> None:
    request = EnqueueRequest(
        task_list_id="a" * 12,
        title="文" * 500,
        description="文" * 43690,
        subtasks=[{"title": "文" * 500}] * 100,
        overrides=RunConfig(system_prompt="文" * 43690, allowed_tools=["文" * 500] * 100),
    )
    start = time.process_time()
    tasks.enqueue(request, {"claude"})
    # All RPCs share one event loop. It takes about 1 ms.
    assert time.process_time() - start < 0.05


@pytest.mark.parametrize(
    ("limit", "file", "words"),
    [
        (checks.LONG_TEXT, "task.proto", "Describes the task; Markdown, up to {} bytes of UTF-8"),
        (checks.LONG_TEXT, "run_config.proto", "own system prompt. Up to {} bytes of UTF-8"),
        (checks.LONG_TEXT, "task_service.proto", "what the agent is told next: 1 to {} bytes of UTF-8"),
        (checks.PATH, "task_service.proto", "relative to the top of the repository, up to {} bytes without control"),
        (checks.SUBTASKS, "task.proto", "Lists the parts of the task, in order. Up to {}."),
        (checks.SCHEMA, "run_config.proto", "(a JSON object, up to {} bytes)"),
        (checks.ALLOWED_TOOLS, "run_config.proto", "Up to {} of up to 500 characters."),
        (checks.COMMAND, "run_config.proto", "`/bin/sh -c`. Up to {} bytes."),
        (checks.COMMAND, "run_config.proto", "values, together up to {} bytes."),
        (checks.ARGUMENTS, "run_config.proto", "Between 1 and {} values"),
        (checks.LONGEST_SPANS["run_timeout"] // 86400, "run_config.proto", "Between 1 second and {} days."),
        (
            checks.LONGEST_SPANS["stall_timeout"] // 86400,
            "run_config.proto",
            "has to print something. Between 1 second and {} days.",
        ),
        (checks.LONGEST_SPANS["linger"] // 3600, "run_config.proto", "Between 1 second and {} hour."),
        (checks.SMALLEST_LOG, "run_config.proto", "Between 1 MiB ({}) and"),
        (checks.LARGEST_LOG, "run_config.proto", "and 1 TiB ({})."),
        (checks.LONGEST_HEARTBEAT // 60, "task_service.proto", "Between 1 second and {} minutes."),
    ],
)
def test_the_limits_are_those_of_the_protos(limit: int, file: str, words: str) -> None:
    comments = " ".join(re.sub(r"//", " ", (PROTOS / file).read_text(encoding="utf-8")).split())
    assert words.format(limit) in comments


def test_the_permission_modes_are_those_of_the_protos() -> None:
    text = (PROTOS / "run_config.proto").read_text(encoding="utf-8")
    comment = text.partition("Names the agent's permission mode.")[2].partition("Default:")[0]
    assert set(re.findall(r'"(\w+)"', comment)) == checks.PERMISSION_MODES
