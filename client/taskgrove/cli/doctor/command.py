"""The command that looks for what is wrong with a set-up: doctor."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from taskgrove import connection
from taskgrove.cli import connecting, exits, output
from taskgrove.cli.doctor import findings, places, programs, service
from taskgrove.cli.doctor.findings import Finding
from taskgrove.cli.rendering import terminal

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command(
    epilog="""\
\b
Examples:
  taskgrove doctor
  taskgrove doctor --json | jq -r 'select(.status != "ok") | .advice'
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each check.")
@connecting.pass_server
@click.pass_context
def doctor(ctx: click.Context, server: connecting.Server, *, as_json: bool) -> None:
    """Tells what is wrong with your set-up, and what to do.

    Looks at what is installed, the server, who can get at it, the disk, and the repository that you are in. Changes
    nothing. Exits with 1 when there is a problem; warnings are none.
    """
    screen = None if as_json else terminal.Screen()
    code = exits.SUCCEEDED
    for finding in _examine(server):
        if finding.status == "problem":
            code = exits.FAILED
        if screen is None:
            output.print_json(dataclasses.asdict(finding))
        else:
            screen.print([(f"{finding.status:<8} ", _STYLES[finding.status]), (finding.text, "")])
    ctx.exit(code)


def _examine(server: connecting.Server) -> Iterator[Finding]:
    """Yields what each check finds, in the order in which things are set up."""
    data_directory = connection.default_data_directory()
    yield programs.python()
    for name in programs.PACKAGES:
        yield programs.package(name)
    yield programs.git()
    yield programs.server_program()
    yield programs.claude(os.environ)
    yield from service.examine(server)
    looks: dict[str, Callable[[], Finding | None]] = {
        "socket directory": lambda: service.socket_directory(server.address),
        "token": lambda: service.token_file(data_directory / "token"),
        "disk": lambda: places.disk(data_directory),
    }
    for name, look in looks.items():
        finding = findings.in_time(name, look)
        if finding is not None:
            yield finding
    yield places.repository(Path.cwd())
    yield programs.editor(os.environ)
