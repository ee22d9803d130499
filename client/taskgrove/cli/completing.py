"""Completes ids from the server while a person types, and prints what a shell needs for that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import click
from click import shell_completion

import taskgrove
from taskgrove import errors
from taskgrove.cli import connecting, exits, words
from taskgrove.cli.rendering import rows
from taskgrove.v1 import task_pb2

#: Seconds that somebody who pressed a key is made to wait for an answer.
_PATIENCE = 0.5

#: The newest so many are looked through.
_MOST = 100

_VARIABLE = "_TASKGROVE_COMPLETE"

_SHELLS: dict[str, type[shell_completion.ShellComplete]] = {
    "bash": shell_completion.BashComplete,
    "zsh": shell_completion.ZshComplete,
    "fish": shell_completion.FishComplete,
}

_Completer = Callable[[click.Context, click.Parameter, str], list[shell_completion.CompletionItem]]

#: States for `tasks`.
ACTIVE = (task_pb2.Task.STATE_QUEUED, task_pb2.Task.STATE_RUNNING)
RESTING = tuple(words.RESTING)
QUEUED = (task_pb2.Task.STATE_QUEUED,)


def tasks(states: tuple[task_pb2.Task.State, ...] = ()) -> _Completer:
    """Returns what completes the id of a task in one of these states; of any task when there are none."""

    def complete(
        ctx: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[shell_completion.CompletionItem]:
        def found(client: taskgrove.Client) -> Iterator[tuple[str, str]]:
            for task in client.list_tasks(states=states, page_size=_MOST, view=task_pb2.TASK_VIEW_SUMMARY):
                yield task.id, f"{words.task_state(task.state)}: {task.title}"

        return _items(ctx, incomplete, found)

    return complete


def task_lists(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Completes the id of a task list."""

    def found(client: taskgrove.Client) -> Iterator[tuple[str, str]]:
        for task_list in client.list_task_lists(page_size=_MOST):
            yield task_list.id, task_list.title

    return _items(ctx, incomplete, found)


def holds(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[shell_completion.CompletionItem]:
    """Completes the id of a hold."""

    def found(client: taskgrove.Client) -> Iterator[tuple[str, str]]:
        for hold in client.get_server_info().holds:
            yield hold.id, hold.reason

    return _items(ctx, incomplete, found)


def _items(
    ctx: click.Context, incomplete: str, found: Callable[[taskgrove.Client], Iterator[tuple[str, str]]]
) -> list[shell_completion.CompletionItem]:
    # The program itself is not invoked while a command line is being completed: its options are only parsed.
    server = connecting.Server.of(ctx.find_root().params)
    try:
        with server.connect(timeout=_PATIENCE) as client:
            some = list(itertools.islice(found(client), _MOST))
    except (errors.TaskgroveError, exits.Refused):
        # A shell that completes nothing is better than one that prints an error into the line.
        return []
    return [
        shell_completion.CompletionItem(identity, help=rows.one_line(text, 60))
        for identity, text in some
        if identity.startswith(incomplete)
    ]


@click.command(
    epilog="""\
\b
Examples:
  taskgrove completion bash > ~/.local/share/bash-completion/completions/taskgrove
  taskgrove completion zsh > "${fpath[1]}/_taskgrove"
  taskgrove completion fish > ~/.config/fish/completions/taskgrove.fish
"""
)
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Prints a script that completes commands in your shell.

    Commands, options and their values are completed, and the ids of tasks and lists as the server knows them.

    To try it in the shell that you have open, bash 4.4 or newer: eval "$(taskgrove completion bash)". To have it in
    every new one, write the script where your shell looks for it, as in the examples.
    """
    script = _SHELLS[shell](ctx.find_root().command, {}, "taskgrove", _VARIABLE)
    # Not `source`, which starts bash to look at its version: the script may be for another machine.
    click.echo(script.source_template % script.source_vars())
