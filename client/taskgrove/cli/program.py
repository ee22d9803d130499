"""The program `taskgrove`: global options, and what becomes of errors."""

from __future__ import annotations

import os
import sys
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
    reviewing,
    working,
)
from taskgrove.cli.doctor import command
from taskgrove.cli.rendering import safety


class _Program(manual.Group):
    """A group that turns errors into sentences and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            outcome = super().invoke(ctx)
            sys.stdout.flush()
            return outcome
        except errors.TaskgroveError as error:
            raise exits.Refused(safety.plain(_sentence(error, ctx.obj))) from error
        except BrokenPipeError:
            # The interpreter flushes standard output once more when it exits; that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(exits.PIPE_CLOSED)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(exits.INTERRUPTED)


def _sentence(error: errors.TaskgroveError, server: connecting.Server) -> str:
    if not isinstance(error, errors.ServerUnavailable) or error.reason is not None:
        return error.message
    where = f"the default server, {server.address}" if server.is_default else server.address
    advice = " (start it with: taskgroved, or see what is wrong with: taskgrove doctor)" if server.is_default else ""
    return f"Cannot reach {where}{advice}: {error.message}"


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
