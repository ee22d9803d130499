"""Renders the lines of the command agent: what a program printed, and how it ended."""

from __future__ import annotations

import base64
import json
from typing import Any

from taskgrove.cli.rendering import rows
from taskgrove.cli.rendering.rows import Row


class Renderer:
    """Renders the lines of one run; an instance serves one run."""

    def __init__(self) -> None:
        self.usage = rows.Usage()
        self.unknown = 0
        self._printed = False

    def feed(self, line: bytes) -> list[Row]:
        """Returns the rows of one line; none for a line that has no shape known here."""
        try:
            return self._rows(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.unknown += 1
            return []

    def has_shown(self, result: str) -> bool:
        """Tells whether the program printed something: its result is the end of that."""
        return self._printed or not result

    def _rows(self, line: dict[str, Any]) -> list[Row]:
        match line["type"]:
            case "output":
                text: str = line["text"] if "text" in line else _decoded(line["base64"])
                if line["stream"] == "stderr":
                    return [[(text, "red")]]
                self._printed = True
                return [[(text, "")]]
            case "exit":
                return [_ended(line)]
            case _:
                self.unknown += 1
                return []


def _ended(line: dict[str, Any]) -> Row:
    code = int(line["exit_code"])
    if "error" in line:
        return [(f"✗ could not be started: {line['error']}", "red")]
    if "signal" in line:
        return [(f"✗ killed by signal {line['signal']}", "red")]
    return [("✓ exit code 0", "dim green")] if code == 0 else [(f"✗ exit code {code}", "red")]


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")
