"""Asks before something is removed."""

from __future__ import annotations

import sys

import click

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def is_interactive() -> bool:
    """Tells whether a person is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str) -> bool:
    """Asks a person, whose Ctrl-D is a no; raises UsageError where there is none."""
    if not is_interactive():
        raise click.UsageError("Nobody is there to confirm this: give --yes, or --help shows what it does.")
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)
            return False
        raise
