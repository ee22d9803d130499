"""What renderers make: rows of styled text, and the ways in which text is made short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from taskgrove.cli.rendering import safety

#: (text, style) segments that are printed after each other and end the line; they may contain newlines. A
#: style is one of rich, empty for none.
Row: TypeAlias = "list[tuple[str, str]]"


@dataclass(slots=True)
class Usage:
    """What a run has consumed so far, as far as its lines tell."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


class Renderer(Protocol):
    """Turns the lines of one run into rows."""

    usage: Usage
    #: Counts the lines of a kind that the renderer does not know; they are skipped.
    unknown: int

    def feed(self, line: bytes) -> list[Row]:
        """Returns the rows of one line. Never raises for what an agent may print."""
        ...

    def has_shown(self, result: str) -> bool:
        """Tells whether the rows so far contained the run's result, so that a summary need not repeat it."""
        ...


def one_line(text: str, limit: int) -> str:
    """Returns the text on one line of at most `limit` characters, with what is cut off marked."""
    # A tool's input may have megabytes; only the start can show.
    flat = " ".join(safety.plain(text[: limit * 8]).split())
    return flat if len(flat) <= limit and len(text) <= limit * 8 else f"{flat[: limit - 1]}…"


def block(text: str, *, indent: str, lines: int, width: int = 200) -> str:
    """Returns the first lines of the text, indented and cut, and how many more there are."""
    every = safety.plain(text).strip("\n").splitlines()
    shown = [f"{indent}{one if len(one) <= width else one[: width - 1] + '…'}" for one in every[:lines]]
    if len(every) > lines:
        rest = len(every) - lines
        shown.append(f"{indent}… {rest} more line{'s' if rest > 1 else ''}")
    return "\n".join(shown)
