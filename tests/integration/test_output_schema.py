"""Outputs held against schemas, some of which nobody should have written."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from taskgrove_server.agents import output_schema
from taskgrove_server.agents.output_schema import CheckFailed, Verdict

#: Draws in twice as much with each of its steps.
BOMB: dict[str, Any] = {
    "$ref": "#/$defs/0",
    "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)} | {"40": {}},
}


def check(schema: dict[str, Any], output: Any) -> Verdict:
    return output_schema.check(json.dumps(schema), json.dumps(output))


def test_an_output_of_the_shape_is_right() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert check(schema, {"n": 1}) == Verdict()
    assert output_schema.problem(json.dumps(schema)) is None


def test_what_differs_is_named_with_its_place() -> None:
    schema = {"properties": {"items": {"items": {"required": ["n"], "properties": {"n": {"type": "integer"}}}}}}
    verdict = check(schema, {"items": [{"n": 1}, {"n": "two"}, {}]})
    assert verdict.mismatch == "$.items[1].n: 'two' is not of type 'integer'\n$.items[2]: 'n' is a required property"


def test_what_is_told_has_a_bound() -> None:
    verdict = check({"items": {"type": "integer"}}, ["x" * 100_000] * 100)
    assert verdict.mismatch is not None
    assert len(verdict.mismatch) < 11_000


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "$.type: 'objekt'"),
        ({"properties": {"a": {"pattern": "("}}}, "$.properties.a.pattern"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "leads nowhere"),
        ({"$schema": "https://example.org/mine"}, "no draft that is known"),
        ({"$schema": 7}, "no draft that is known"),
        ({"required": "n"}, "$.required"),
    ],
)
def test_a_schema_that_is_none_says_why(schema: dict[str, Any], says: str) -> None:
    assert says in (output_schema.problem(json.dumps(schema)) or "")
    assert says in (check(schema, {}).problem or "")


@pytest.mark.parametrize(
    ("draft", "schema"),
    [
        ("http://json-schema.org/draft-04/schema#", {"minimum": 5, "exclusiveMinimum": True}),
        ("http://json-schema.org/draft-07/schema#", {"definitions": {"a": {"const": 6}}, "$ref": "#/definitions/a"}),
        ("https://json-schema.org/draft/2020-12/schema", {"prefixItems": [{"const": 6}], "exclusiveMinimum": 5}),
    ],
)
def test_the_draft_is_that_of_the_schema(draft: str, schema: dict[str, Any]) -> None:
    assert check({"$schema": draft} | schema, 6) == Verdict()
    assert check({"$schema": draft} | schema, 5).mismatch is not None


def test_nothing_is_fetched() -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        schema = {"$ref": f"http://127.0.0.1:{server.server_port}/schema.json"}
        assert "leads nowhere" in (check(schema, {}).problem or "")
        server.shutdown()
    assert asked == []


@pytest.mark.parametrize(
    ("schema", "output"),
    [
        ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 60 + "b"}),
        (BOMB, {}),
        ({"$ref": "#"}, {}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"k": n} for n in range(60_000)]}),
    ],
    ids=["pattern", "references", "itself", "quadratic"],
)
def test_what_would_take_for_ever_is_cut_short(
    schema: dict[str, Any], output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert output_schema.problem(json.dumps(schema)) is None
    monkeypatch.setattr(output_schema, "EFFORT", 2)
    assert check(schema, output).problem is not None


def test_a_schema_may_nest_deeply_but_not_without_end() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"properties": {"a": deep}}
    assert output_schema.problem(json.dumps(deep)) is None


@pytest.mark.parametrize("text", ['{"n": NaN}', "{", ""])
def test_an_output_that_is_no_json_has_no_shape(text: str) -> None:
    assert "no JSON" in (output_schema.check("{}", text).mismatch or "")


def test_a_check_that_cannot_be_made_says_nothing_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_schema, "CHECKER", tmp_path / "replaced")
    with pytest.raises(CheckFailed):
        output_schema.check("{}", "{}")
