"""Does the same for several things, and goes on after one that is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from taskgrove import errors
from taskgrove.cli import exits
from taskgrove.cli.rendering import safety


def each(identities: Sequence[str], act: Callable[[str], None]) -> int:
    """Acts on each thing; prints why one is refused, and returns the exit code for all of them."""
    code = exits.SUCCEEDED
    for identity in identities:
        try:
            act(identity)
        except (errors.ServerUnavailable, errors.Unauthenticated):
            raise
        except errors.TaskgroveError as error:
            click.echo(f"taskgrove: {safety.plain(error.message)}", err=True)
            code = max(code, exits.of_error(error))
    return code
