"""Renders the lines of an agent that this version does not know: shortened, as they are."""

from __future__ import annotations

from taskgrove.cli.rendering import rows
from taskgrove.cli.rendering.rows import Row


class Renderer:
    """Renders the lines of one run."""

    def __init__(self) -> None:
        self.usage = rows.Usage()
        self.unknown = 0

    def feed(self, line: bytes) -> list[Row]:
        """Returns the line in one row."""
        # Enough for a row; a line may have many megabytes.
        text = rows.one_line(line[:4096].decode(errors="replace"), 200)
        return [[(text, "dim")]] if text else []

    def has_shown(self, result: str) -> bool:
        """Tells that the result is worth repeating, if there is one."""
        return not result
