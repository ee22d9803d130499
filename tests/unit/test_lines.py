"""Finding objects of JSON in lines that may hold anything, within a bound of time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrove_server.agents import lines

#: Seconds. Reading from each bracket anew would take hours.
BOUND = 60.0

MIB = 1 << 20
RESULT = b'{"type":"result","x":1}'

OBJECTS = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()), min_size=1)
BANNERS = st.text().filter(lambda text: '"' not in text)


def found(line: bytes) -> list[dict[str, Any]]:
    return list(lines.parse(line))


@given(OBJECTS)
def test_a_line_that_is_an_object_is_that_object(value: dict[str, Any]) -> None:
    assert found(json.dumps(value).encode() + b"\n") == [value]


@given(BANNERS, st.lists(st.tuples(OBJECTS, BANNERS), min_size=1))
def test_objects_are_found_in_order_whatever_stands_around_them(
    first: str, others: list[tuple[dict[str, Any], str]]
) -> None:
    glued = first + "".join(json.dumps(value) + banner for value, banner in others)
    # The banner before an object that begins with a bracket of its own may swallow it.
    expected = [value for value, _ in others]
    if "{" not in first + "".join(banner for _, banner in others):
        assert found(glued.encode("utf-8", "replace")) == expected


def test_two_objects_on_a_line_are_both_there() -> None:
    assert found(b'{"a":1}{"b":2}, {"c":3}\r\n') == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize("line", [b"", b"\n", b"7", b'"text"', b'[{"a":1}]', b"null", b"{}{}", b"\xff{", b"{:}"])
def test_a_line_without_an_object_has_none(line: bytes) -> None:
    assert found(line) == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"assistant","input":' + RESULT,
        b'{"type":"assistant","content":[' + RESULT + b"," + RESULT,
        b'{"text":"' + RESULT.replace(b'"', b'\\"') + b'"',
    ],
)
def test_an_object_within_a_broken_one_is_not_one_of_its_own(line: bytes) -> None:
    assert found(line) == []


@pytest.mark.parametrize(
    "line",
    [
        b"{" * (16 * MIB),
        b'{"' * (8 * MIB),
        b'{"a":' * (3 * MIB),
        b'{"a":"' * (3 * MIB),
        b'{"a":[' * 900 + b"1," * (7 * MIB),
        b'{"a":[1,1,1,1,1,1,1,1,1' * (MIB // 2),
        b'{"a":{"b":1},' * MIB,
        b"{" + b" " * (16 * MIB),
        b'{"a":"x" ' * (2 * MIB),
        b'{"a":' + b"[]," * (20 * MIB),
        b'{"' * MIB + b" " * (58 * MIB) + b"{",
    ],
    ids=range(11),
)
def test_a_hostile_line_takes_seconds_and_not_hours(line: bytes) -> None:
    start = time.monotonic()
    assert found(line) == []
    assert time.monotonic() - start < BOUND


def test_a_large_line_is_looked_into_unless_it_is_all_brackets_and_quotes() -> None:
    assert found(b"banner " + b'{"type":"result","x":"' + b"y" * (17 * MIB) + b'"}')[0]["type"] == "result"
    many = b'{"x":[' + b"[]," * (2 * lines.MAX_TOKENS) + b"1]}"
    assert len(many) > lines.LARGE_LINE
    assert found(many) == []


def test_a_text_is_one_object_or_none() -> None:
    assert lines.parse_object(' {"a": 1} ') == {"a": 1}
    assert lines.parse_object("{}") == {}
    for text in ('{"a": 1} x', "[1]", "", '{"a": 1}{"b": 2}', "[" * 100_000):
        assert lines.parse_object(text) is None
