"""The program `taskgrove`: global options, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from taskgrove import errors
from taskgrove.cli import (
    clearing,
    completing,
    connecting,
    deleting,
    editing,
    exits,
    holds,
    inspecting,
    landing,
    lists,
    manual,
    reading,
    refusals,
    reviewing,
    streams,
    working,
)
from taskgrove.cli.doctor import command
from taskgrove.cli.rendering import safety


class _Program(manual.Group):
    """A group that turns errors into sentences and exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and exits; whatever goes wrong with the surroundings is told in a sentence."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            outcome: object = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
            code = outcome if isinstance(outcome, int) else exits.SUCCEEDED
        except click.NoSuchOption as error:
            hint = "A text that begins with a dash stands after two of them: -- '-x is unused'"
            code = _told(click.UsageError(f"{error.format_message()} {hint}", error.ctx))
        except click.ClickException as error:
            code = _told(error)
        except streams.Unwritten as error:
            streams.give_up()
            if error.is_left:
                code = exits.PIPE_CLOSED
            else:
                said = f"Cannot write to standard output: {error}. What was asked for may be done: see taskgrove ls"
                code = _told(exits.Unwritten(said))
        except UnicodeEncodeError as error:
            code = _told(exits.NotText(f"{safety.plain(error.object)!r} is not UTF-8, which every text has to be."))
        except OSError as error:
            code = _told(exits.Refused(safety.plain(_of_machine(error))))
        except click.Abort:
            code = exits.INTERRUPTED
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what becomes of a call that failed depends on the server that the context names."""
        try:
            return super().invoke(ctx)
        except errors.TaskgroveError as error:
            raise refusals.of(error, ctx.obj) from error


def _told(error: click.ClickException) -> int:
    error.show()
    return error.exit_code


def _of_machine(error: OSError) -> str:
    """Returns a sentence about something of this machine that does not work."""
    if error.errno is None:
        return str(error)
    why = error.strerror
    if error.filename is not None:
        return f"Cannot use {os.fsdecode(error.filename)}: {why}."
    try:
        Path.cwd()
    except OSError as gone:
        return f"Cannot use the directory in which you are: {gone.strerror}. Go to another one."
    return f"This machine does not let it go on: {why}."


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\
\b
Examples:
  taskgrove run "Fix the flaky login test"
  taskgrove run "Check the build" -- make test
  taskgrove enqueue "Update the changelog" --description @notes.md
  taskgrove watch k3v5m2qxw7ab
  taskgrove ls --state running
  taskgrove diff k3v5m2qxw7ab
  taskgrove land k3v5m2qxw7ab

"""
    + exits.EXPLANATION,
)
@click.option(
    "--target",
    envvar="TASKGROVE_TARGET",
    show_envvar=True,
    metavar="ADDRESS",
    help="The server, as gRPC writes addresses: unix:/path or host:port.  "
    "[default: the Unix socket in the default data directory]",
)
@click.option(
    "--token",
    envvar="TASKGROVE_TOKEN",
    show_envvar=True,
    metavar="TOKEN",
    help="The server's bearer token. A Unix socket needs none; for a server on this machine it is found.",
)
@click.option(
    "--tls-ca",
    envvar="TASKGROVE_TLS_CA",
    show_envvar=True,
    metavar="FILE",
    help="Encrypts the connection to a TCP server, whose certificate has to come from this authority, in PEM; "
    "'default' stands for those that everybody knows.",
)
@click.option(
    "--tls-cert",
    envvar="TASKGROVE_TLS_CERT",
    show_envvar=True,
    metavar="FILE",
    help="Your own certificate, where the server wants one.",
)
@click.option(
    "--tls-key", envvar="TASKGROVE_TLS_KEY", show_envvar=True, metavar="FILE", help="The private key of --tls-cert."
)
@click.option(
    "--tls-server-name",
    envvar="TASKGROVE_TLS_SERVER_NAME",
    show_envvar=True,
    metavar="NAME",
    help="The name in the server's certificate, where you reach it by another.",
)
@click.version_option(package_name="taskgrove", message="%(prog)s %(version)s")
@click.pass_context
def taskgrove(ctx: click.Context, /, **options: str | None) -> None:
    """Queues tasks for coding agents and shows what they do.

    Each task runs unattended, in a git worktree and on a branch of its own.
    """
    ctx.obj = connecting.Server.of(options)


taskgrove.add_section("Work", working.run, working.enqueue, working.continue_, working.retry, working.cancel)
taskgrove.add_section("Watch", inspecting.ls, inspecting.show, working.watch, reading.log, reading.events)
taskgrove.add_section("Review and land", reviewing.diff, landing.land, landing.push, clearing.discard)
taskgrove.add_section("Tasks and lists", editing.edit, editing.tick, lists.lists, clearing.prune, deleting.rm)
taskgrove.add_section("What waits", holds.holds, holds.lift)
taskgrove.add_section("Set-up", command.doctor, completing.completion, manual.help_)
