"""What holds tasks back, as a person is told of it; the commands holds and lift."""

from __future__ import annotations

from datetime import UTC, datetime

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import batches, completing, connecting, elsewhere, output, words
from taskgrove.cli.rendering import rows, terminal
from taskgrove.v1 import task_pb2
from taskgrove.v1.hold_pb2 import Hold

#: Characters of a reason that stand in one line with others.
_SHORT = 160


@click.command(
    epilog="""\
\b
Examples:
  taskgrove holds
  taskgrove holds --json | jq -r .id | xargs taskgrove lift
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, instead of a table.")
@connecting.pass_server
def holds(server: connecting.Server, *, as_json: bool) -> None:
    """Shows what holds tasks back: a used-up limit, an expired login, a full disk.

    Such a task fails for nothing: it waits, with all others that need the same, and is tried again from time to time.
    """
    with server.connect() as client:
        held = client.get_server_info().holds
    if as_json:
        for hold in held:
            output.print_json(hold)
    elif not held:
        click.echo("Nothing is held.", err=True)
    else:
        screen = terminal.Screen()
        screen.table(
            ["ID", "SINCE", "TRIES", "NEXT TRY", "REASON"],
            [
                [hold.id, words.age(hold.create_time), str(hold.attempts), _next_try(hold), _reason(hold)]
                for hold in held
            ],
            flexible=4,
        )


@click.command(
    epilog="""\
\b
Examples:
  taskgrove lift agent:claude
"""
)
@click.argument("hold_ids", metavar="HOLD...", nargs=-1, required=True, shell_complete=completing.holds)
@connecting.pass_server
@click.pass_context
def lift(ctx: click.Context, server: connecting.Server, hold_ids: tuple[str, ...]) -> None:
    """Has tasks that are held tried at once.

    HOLD is what `taskgrove holds` shows. If the cause is not gone, the hold begins anew with the next task.
    """
    with server.connect() as client:
        ctx.exit(batches.each(hold_ids, lambda hold_id: _lift(client, hold_id)))


class News:
    """What there is to say about holds while a task is followed: each of them once."""

    def __init__(self, client: taskgrove.Client) -> None:
        self._client = client
        self._told: set[tuple[str, int]] = set()

    def of(self, task: task_pb2.Task) -> list[str]:
        """Returns sentences about what may hold a task back; none when it does not wait, or that is not known."""
        if not words.is_waiting(task):
            return []
        try:
            held = elsewhere.called(self._client.get_server_info).holds
        except errors.TaskgroveError:
            return []
        some = [hold for hold in held if hold.kind != Hold.KIND_TASK or hold.subject == task.id]
        new = [hold for hold in some if (hold.id, hold.create_time.ToNanoseconds()) not in self._told]
        self._told |= {(hold.id, hold.create_time.ToNanoseconds()) for hold in new}
        return [sentence(hold) for hold in new]


def sentence(hold: Hold) -> str:
    """Returns one line about a hold."""
    return f"Held ({hold.id}), next try {_next_try(hold)}: {_reason(hold)}"


def _next_try(hold: Hold) -> str:
    time = hold.next_try_time.ToDatetime(UTC)
    return "now" if time <= datetime.now(UTC) else words.local_time(hold.next_try_time)


def _reason(hold: Hold) -> str:
    return rows.one_line(hold.reason, _SHORT)


def _lift(client: taskgrove.Client, hold_id: str) -> None:
    client.lift_hold(hold_id)
    click.echo(f"{hold_id} is lifted.")
