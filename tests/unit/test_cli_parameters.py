"""Values on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from taskgrove.cli import parameters


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1d1h1m1s", 90061)],
)
def test_a_span_of_time_is_read_in_units(value: str, seconds: int) -> None:
    assert parameters.duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "m", "1.5h", "-5", "5 m", "1h30", "10y", "9" * 30 + "s", "٣m"])
def test_what_is_no_span_of_time_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="no span of time"):
        parameters.duration(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [("7", 7), ("5K", 5 << 10), ("500M", 500 << 20), ("2G", 2 << 30), ("1T", 1 << 40)],
)
def test_a_size_is_read_in_units(value: str, size: int) -> None:
    assert parameters.size(value) == size


@pytest.mark.parametrize("value", ["", "M", "1.5G", "-5", "5 M", "10Y", "1G1M", "9" * 30, "٣M"])
def test_what_is_no_size_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        parameters.size(value)


def test_a_text_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Zażółć\n", encoding="utf-8")
    assert parameters.text(f"@{tmp_path}/notes.md") == "# Zażółć\n"
    assert parameters.text("as it stands") == "as it stands"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(click.BadParameter, match=r"Cannot read .*missing"):
        parameters.text(f"@{tmp_path}/missing")
    with pytest.raises(click.BadParameter, match=r"Cannot read .*binary"):
        parameters.text(f"@{tmp_path}/binary")


def test_a_schema_must_be_a_json_object(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}', encoding="utf-8")
    assert parameters.json_object_file(str(schema)) == '{"type": "object"}'
    schema.write_text("[1]", encoding="utf-8")
    with pytest.raises(click.BadParameter, match="no JSON object"):
        parameters.json_object_file(str(schema))
    schema.write_text("{", encoding="utf-8")
    with pytest.raises(click.BadParameter, match="is not JSON"):
        parameters.json_object_file(str(schema))


def test_a_moment_is_so_long_ago_or_a_time_by_the_local_clock() -> None:
    before = datetime.now(UTC)
    assert before - timedelta(hours=2) <= parameters.moment("2h") <= datetime.now(UTC) - timedelta(hours=2)
    assert parameters.moment("2026-01-31") == datetime(2026, 1, 31).astimezone()
    assert parameters.moment("2026-01-31T12:30+02:00") == datetime(2026, 1, 31, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["yesterday", "30", "2026-13-01", "999999999d", "0001-01-01", "9999-12-31T23:59-23:00"]
)
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        parameters.moment(value)
