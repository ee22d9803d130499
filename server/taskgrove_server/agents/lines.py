"""What all parsers share: reading lines of JSON that may be anything, and bounding what is kept of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

#: Bytes of a line beyond which it is looked into only when it has few tokens: the journal hands over up to 64 MiB, of
#: which ten to twenty times as much memory may become when they are all brackets and quotes.
LARGE_LINE = 16 * 1024 * 1024

#: Brackets, quotes and commas in a large line: at some 100 bytes each, 400 MB at worst. A long text has few.
MAX_TOKENS = 4_000_000

#: Bytes of UTF-8, as run.proto and failure.proto promise.
MAX_RESULT = 262_144
MAX_STRUCTURED_OUTPUT = 1_048_576
MAX_MESSAGE = 65_536

#: Where an object may begin that says anything.
_START = re.compile(r"\{\s*\"")

#: What stands right before an object that is a part of another one, as Claude Code writes them.
_INNER = ('":', "[", ",")

#: Characters that attempts which fail may look at, beside 32 for each of the line's own.
_EFFORT = 1 << 20

_DECODER = json.JSONDecoder(strict=False)

#: As json.loads, which takes a third longer for a line of 300 bytes.
_STRICT_DECODER = json.JSONDecoder()


def parse(line: bytes) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects that stand in a line, in order; other things may be glued to them.

    Whatever writes to the same output can leave a banner without an end in front of an object, an escape sequence at
    either side of it, or two objects on a line. An object within a broken one is not taken for one of its own.
    """
    if len(line) > LARGE_LINE and _tokens(line) > MAX_TOKENS:
        return
    try:
        whole: object = _STRICT_DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        yield from _find(line.decode(errors="replace"))
        return
    if isinstance(whole, dict):
        yield cast(dict[str, Any], whole)


def parse_object(text: str) -> dict[str, Any] | None:
    """Returns the JSON object that a text is, None when it is none."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _tokens(line: bytes) -> int:
    return sum(line.count(token) for token in (b'"', b",", b"{", b"["))


def _find(text: str) -> Iterator[dict[str, Any]]:
    effort = 32 * len(text) + _EFFORT
    broken = False
    start = _next(text, 0)
    while start is not None and effort > 0:
        if broken and text.endswith(_INNER, 0, start):
            start = _next(text, start + 1)
            continue
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            # To make the error takes a look at all that stands before it, beside what was read in vain.
            reached = error.pos if isinstance(error, json.JSONDecodeError) else len(text)
            effort -= reached + 8 * (reached - start)
            broken = True
            start = _next(text, start + 1)
        else:
            broken = False
            yield record(value)
            start = _next(text, end)


def _next(text: str, position: int) -> int | None:
    match = _START.search(text, position)
    return match.start() if match else None


def record(value: object) -> dict[str, Any]:
    """Returns a value that is a JSON object, else an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def records(value: object) -> list[dict[str, Any]]:
    """Returns the objects in a value that is a JSON array."""
    return [record(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Returns the texts in a value that is a JSON array."""
    return [item for item in cast(list[object], value) if isinstance(item, str)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Returns a value that is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def dump(value: object) -> str:
    """Returns a value as JSON text, empty when JSON cannot say it, such as a number too large for it."""
    try:
        return clean(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, RecursionError):
        return ""


def clean(value: str) -> str:
    """Returns the text without what JSON allows and UTF-8 does not: halves of surrogate pairs."""
    return value.encode("utf-8", "replace").decode()


def head(value: str, size: int, note: str = "…") -> str:
    """Returns the text, cut to `size` bytes of UTF-8, of which `note` is the last part when it was cut."""
    data = value.encode("utf-8", "replace")
    if len(data) <= size:
        return data.decode()
    return data[: size - len(note.encode())].decode("utf-8", "ignore") + note


def tail(value: str, size: int) -> str:
    """Returns the last `size` bytes of UTF-8 of a text, behind an ellipsis when something was cut."""
    data = value.encode("utf-8", "replace")
    if len(data) <= size:
        return data.decode()
    return "…" + data[-size + len("…".encode()) :].decode("utf-8", "ignore")


def fenced(value: str) -> str:
    """Returns a text as a Markdown code block that nothing inside it can end."""
    fence = "```"
    while fence in value:
        fence += "`"
    return f"{fence}\n{value.strip()}\n{fence}"
