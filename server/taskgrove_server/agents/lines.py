"""What all parsers share: reading lines of JSON that may be anything, and bounding what is kept of them."""

from __future__ import annotations

import json
from typing import Any, cast

#: Bytes of a line beyond which it is not looked into: nothing that is kept of a line may be nearly as long.
MAX_LINE = 16 * 1024 * 1024

#: Bytes of UTF-8, as run.proto and failure.proto promise.
MAX_RESULT = 262_144
MAX_STRUCTURED_OUTPUT = 1_048_576
MAX_MESSAGE = 65_536


def parse(line: bytes) -> dict[str, Any]:
    """Returns the JSON object that a line holds, empty when it holds none."""
    if len(line) > MAX_LINE:
        return {}
    try:
        return record(json.loads(line.decode()))
    except (ValueError, RecursionError):
        return {}


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
