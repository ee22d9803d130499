"""Tells a person what a command waits for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

from taskgrove.cli.rendering import safety


@contextmanager
def until_done(what: str) -> Generator[None]:
    """Shows a line with a spinner, on standard error, while something goes on; nothing where there is no terminal."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield
        return
    with console.status(f"{safety.plain(what)} (Ctrl-C to leave)"):
        yield
