"""Commands that read what was recorded: log, events."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import completing, connecting, following, output, paging, views, words
from taskgrove.cli.rendering import feed, safety, terminal
from taskgrove.v1 import event_pb2

_KINDS = words.event_kinds()


@click.command(
    epilog="""\
\b
Examples:
  taskgrove log k3v5m2qxw7ab
  taskgrove log k3v5m2qxw7ab -n 20
  taskgrove log k3v5m2qxw7ab --after-line 120 --json | jq .type
  taskgrove log k3v5m2qxw7ab --setup
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks())
@click.option("-n", "--last-lines", type=click.IntRange(min=1), metavar="N", help="Only the last lines of the log.")
@click.option("--after-line", type=click.IntRange(min=0), metavar="N", help="Start after this line of the task.")
@click.option("--setup", is_flag=True, help="Show what the list's setup command printed instead.")
@click.option("--json", "as_json", is_flag=True, help="Write the agent's lines untouched.")
@connecting.pass_server
def log(
    server: connecting.Server,
    task_id: str,
    *,
    last_lines: int | None,
    after_line: int | None,
    setup: bool,
    as_json: bool,
) -> None:
    """Shows what an agent has written so far, without waiting for more.

    The lines of all runs are numbered together, and shown as watch shows them.
    """
    if last_lines is not None and after_line is not None:
        raise click.UsageError("--last-lines and --after-line exclude each other.")
    if setup and (as_json or last_lines is not None or after_line is not None):
        raise click.UsageError("--setup shows the setup log as it is: it takes no other option.")
    with server.connect() as client:
        if setup:
            _show_setup(client, task_id)
            return
        show = _print_data if as_json else views.Lines(client, terminal.Screen(), task_id).show
        try:
            for line in client.read_lines(task_id, after_line=after_line or 0, last_lines=last_lines):
                show(line)
        except errors.LogRemoved as error:
            if after_line or last_lines is not None:
                raise
            # Of the whole log, what is left of it.
            click.echo(f"taskgrove: {safety.plain(error.message)}", err=True)
            for line in client.read_lines(task_id, after_line=int(error.metadata["first_line"]) - 1):
                show(line)


@click.command(
    epilog="""\
\b
Examples:
  taskgrove events
  taskgrove events --kind task_finished --json | jq -r 'select(.failure_kind) | .task_id'
  taskgrove events --after 1200 --no-follow
"""
)
@click.option(
    "--after",
    "after_sequence",
    type=click.IntRange(min=0),
    metavar="SEQUENCE",
    help="Start after this event; 0 is the oldest that is kept.  [default: from now on; with --no-follow, 0]",
)
@click.option(
    "--list",
    "task_list_ids",
    multiple=True,
    metavar="ID",
    help="Only tasks of this list. May be repeated.",
    shell_complete=completing.task_lists,
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(_KINDS)),
    metavar="KIND",
    help=f"Only this kind: {', '.join(_KINDS)}. May be repeated.",
)
@click.option("--no-follow", is_flag=True, help="Show what there is, and leave.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
@connecting.pass_server
def events(
    server: connecting.Server,
    /,
    *,
    after_sequence: int | None,
    task_list_ids: tuple[str, ...],
    kinds: tuple[str, ...],
    no_follow: bool,
    as_json: bool,
) -> None:
    """Shows what happens to tasks, one line for each event.

    Goes on until Ctrl-C, which says how to go on later where this ended, with nothing lost.
    """
    screen = None if as_json else terminal.Screen()

    def show(event: event_pb2.Event) -> None:
        if screen is None:
            output.print_json(event)
            # A program that reads them wants each one when it happens.
            sys.stdout.flush()
        else:
            screen.print(feed.of_event(event))

    wanted = [_KINDS[kind] for kind in kinds]
    with server.connect() as client:
        if no_follow:
            for event in client.read_events(
                after_sequence=after_sequence or 0, task_list_ids=task_list_ids, kinds=wanted
            ):
                show(event)
            return
        # A watch waits for a server that is away; a first call says that there is none.
        next(client.list_task_lists(page_size=1), None)
        with (
            client.watch_events(after_sequence=after_sequence, task_list_ids=task_list_ids, kinds=wanted) as watch,
            following.deferred_interrupts() as interrupts,
        ):
            shown: int | None = None
            coming = iter(watch)
            try:
                while True:
                    event = interrupts.next_of(coming, watch.close)
                    with interrupts.at_once():
                        show(event)
                    shown = event.sequence
            except KeyboardInterrupt:
                position = watch.last_sequence if shown is None else shown
                if position is not None:
                    click.echo(f"\nTo go on: {_again(position, task_list_ids, kinds, as_json=as_json)}", err=True)
                raise


def _print_data(line: taskgrove.Line) -> None:
    output.print_line(line.data)


def _show_setup(client: taskgrove.Client, task_id: str) -> None:
    printed = client.read_setup_log(task_id)
    if paging.on_terminal():
        terminal.Screen().print([(printed.decode(errors="replace").rstrip("\n"), "")])
    else:
        sys.stdout.buffer.write(printed)


def _again(position: int, task_list_ids: Sequence[str], kinds: Sequence[str], *, as_json: bool) -> str:
    """Returns the command that shows the events after a position, with the same options."""
    command = ["taskgrove", "events", "--after", str(position)]
    for task_list_id in task_list_ids:
        command += ["--list", task_list_id]
    for kind in kinds:
        command += ["--kind", kind]
    if as_json:
        command.append("--json")
    return shlex.join(command)
