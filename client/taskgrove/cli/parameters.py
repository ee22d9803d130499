"""Kinds of values on the command line, and the command that takes a program after `--`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}

_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

#: Where a context keeps the words after `--`.
_WORDS = "taskgrove.words"


def duration(value: str) -> timedelta:
    """Returns a span of time: 90s, 30m, 1h30m, 2d; a bare number is seconds."""
    text = f"{value}s" if re.fullmatch(r"[0-9]+", value) else value
    if not re.fullmatch(r"([0-9]{1,9}[dhms])+", text):
        raise click.BadParameter(f"{value!r} is no span of time: write it as 90s, 30m, 1h30m or 2d.")
    parts = re.findall(r"([0-9]+)([dhms])", text)
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


def size(value: str) -> int:
    """Returns a number of bytes: 500M, 2G; a bare number is bytes."""
    parts = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", value)
    if parts is None:
        raise click.BadParameter(f"{value!r} is no size: write it as 500M or 2G.")
    return int(parts[1]) * _BYTES[parts[2]]


def moment(value: str) -> datetime:
    """Returns a point in time: so long ago, such as 2h or 7d, or a date or time in ISO 8601, by the local clock."""
    try:
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            # Where much is deleted, 30 seconds are not what somebody means who forgets the unit.
            if value.isdigit():
                raise
            return datetime.now(UTC) - duration(value)
        return time.astimezone()
    except (click.BadParameter, ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{value!r} is no time: write it as 2h, 7d, 2026-01-31 or 2026-01-31T12:30."
        ) from error


def text(value: str) -> str:
    """Returns a text: as it stands, of a file for @FILE, or of standard input for -."""
    if value == "-":
        return _read("standard input", lambda: sys.stdin.buffer.read().decode())
    if value.startswith("@"):
        return _read(repr(value[1:]), lambda: Path(value[1:]).read_text(encoding="utf-8"))
    return value


def json_object_file(value: str) -> str:
    """Returns the content of a file, which must be a JSON object."""
    content = _read(repr(value), lambda: Path(value).read_text(encoding="utf-8"))
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not JSON: {error}.") from error
    if not isinstance(parsed, dict):
        raise click.BadParameter(f"{value!r} holds no JSON object.")
    return content


class TaskCommand(click.Command):
    """A command that takes a program and its arguments after `--`.

    To click, words before and after `--` are alike, so that a title without quotes would become a program. A title that
    begins with a dash stands after a `--` of its own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sets the words after `--` aside."""
        if "--" in args:
            at = args.index("--")
            before, after = args[:at], args[at + 1 :]
            # No program begins with a dash, and a title may; the program then follows another --.
            if after and after[0].startswith("-") and after[0] != "--":
                before, after = args[: at + 2], args[at + 2 :]
                if after[:1] == ["--"]:
                    del after[0]
                elif after:
                    raise click.UsageError("A program follows a -- of its own, as in: -- '-x' -- make test", ctx)
                else:
                    return super().parse_args(ctx, before)
            if not after:
                raise click.UsageError("A program must follow --, as in: -- make test", ctx)
            args, ctx.meta[_WORDS] = before, after
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Returns the pieces of the usage line, the words after `--` included."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND ARGS...]"]


def words_of(ctx: click.Context) -> list[str] | None:
    """Returns the words after `--`; None when there was no `--`."""
    words: list[str] | None = ctx.meta.get(_WORDS)
    return words


def _read(name: str, read: Callable[[], str]) -> str:
    try:
        return read()
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"Cannot read {name}: {error}.") from error
