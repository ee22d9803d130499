"""The one way to standard output for text that a person reads."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import cast

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from taskgrove.cli.rendering import safety
from taskgrove.cli.rendering.rows import Row

#: How often the status line is drawn anew, per second: often enough for a spinner to look alive.
_REFRESH_RATE = 8


class Screen:
    """Prints rows and tables, made harmless; on a terminal with colours, elsewhere without any control codes."""

    def __init__(self) -> None:
        # A Windows or Latin-1 console has no glyph for a spinner; a question mark is better than a traceback.
        cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace")
        self._console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def print(self, *rows: Row) -> None:
        """Prints rows."""
        if rows:
            lines = (Text.assemble(*((safety.plain(part), style) for part, style in row)) for row in rows)
            self._console.print(Text("\n").join(lines))

    def notice(self, text: str) -> None:
        """Prints a sentence of this program: above the status line on a terminal, else on standard error."""
        if self._console.is_terminal:
            self.print([(text, "yellow")])
        else:
            click.echo(safety.plain(text), err=True)

    def table(self, headings: list[str], lines: list[list[str]], *, flexible: int) -> None:
        """Prints a table; on a narrow terminal the column numbered `flexible` is cut short."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, heading in enumerate(headings):
            ratio = 1 if number == flexible else None
            table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
        for line in lines:
            table.add_row(*(Text(safety.plain(cell)) for cell in line))
        if self._console.is_terminal:
            table.expand = True  # What makes the flexible column take exactly the room that is left.
            self._console.print(table, soft_wrap=False)
            return
        # Nothing is cut short for a program that reads the table, and no line ends in padding.
        wide = Console(width=10_000, file=io.StringIO(), highlight=False)
        with wide.capture() as capture:
            wide.print(table)
        for printed in capture.get().splitlines():
            self._console.print(Text(printed.rstrip()))

    def status(self, text: Callable[[], str]) -> Status:
        """Returns a line that stays below what is printed while it is shown; `text` says what it contains."""
        return Status(self._console, text)


class Status:
    """A line with a spinner at the bottom of a terminal; nothing where there is none."""

    def __init__(self, console: Console, text: Callable[[], str]) -> None:
        self._text = text
        self._spinner = Spinner("dots", style="cyan")
        self._live = (
            Live(
                console=console,
                get_renderable=self._line,
                refresh_per_second=_REFRESH_RATE,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

    def start(self) -> None:
        """Shows the line."""
        if self._live:
            self._live.start(refresh=True)

    def stop(self) -> None:
        """Removes the line, if it is there."""
        if self._live:
            self._live.stop()

    def _line(self) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(self._spinner, Text(safety.plain(self._text()), style="dim"))
        return line


class _Console(Console):
    """A console that reports a closed pipe as the error that it is, where rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        """Raises the error on."""
        raise BrokenPipeError
