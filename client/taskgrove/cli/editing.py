"""Commands that change a task before or after its work: edit, tick."""

from __future__ import annotations

from typing import Unpack

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import (
    completing,
    connecting,
    editor,
    exits,
    options,
    output,
    parameters,
    retrying,
    task_text,
    words,
)
from taskgrove.cli.rendering import safety
from taskgrove.v1 import run_config_pb2, task_pb2

_json_task = click.option("--json", "as_json", is_flag=True, help="Print the task as JSON.")


@click.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove edit k3v5m2qxw7ab
  taskgrove edit k3v5m2qxw7ab --title "Mend the login" --model opus
  taskgrove edit k3v5m2qxw7ab --subtask "Find out why" --subtask "Write a test" --unset max-turns
""",
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks(completing.QUEUED))
@click.option("--title", metavar="TEXT", help="The new title.")
@click.option(
    "--description",
    type=parameters.text,
    metavar="TEXT",
    help="The new description, in Markdown. @FILE reads a file, - standard input.",
)
@click.option("--subtask", multiple=True, metavar="TEXT", help="A part; these replace all parts. May be repeated.")
@options.run_settings
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice(list(options.FIELDS)),
    metavar="NAME",
    help="A setting to take back, by the name of its option, or 'command'. May be repeated.",
)
@_json_task
@connecting.pass_server
@click.pass_context
def edit(
    ctx: click.Context,
    server: connecting.Server,
    /,
    *,
    task_id: str,
    title: str | None,
    description: str | None,
    subtask: tuple[str, ...],
    unset: tuple[str, ...],
    as_json: bool,
    **settings: Unpack[options.Settings],
) -> None:
    """Changes what the agent will be told, of a task that waits in the queue.

    Without an option for what is to change, opens $VISUAL or $EDITOR on the title, the description and the subtasks.
    """
    changes = options.Changes.of(options.run_config(settings, parameters.words_of(ctx)), unset)
    with server.connect() as client:
        if title is None and description is None and not subtask and not changes:
            task = _edited(client, task_id)
        else:

            def change() -> task_pb2.Task:
                before = client.get_task(task_id)
                overrides: run_config_pb2.RunConfig | None = None
                if changes:
                    overrides = changes.merged(before.overrides)
                return client.update_task(
                    task_id,
                    title=title,
                    description=description,
                    subtasks=subtask or None,
                    overrides=overrides,
                    etag=before.etag,
                )

            task = retrying.insist(change)
    if as_json:
        output.print_json(task)
    else:
        click.echo(safety.plain(f"Task {task.id}: {task.title}"))


@click.command(
    epilog="""\
\b
Examples:
  taskgrove tick k3v5m2qxw7ab 2
  taskgrove tick k3v5m2qxw7ab 2 --undo
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks())
@click.argument("number", type=click.IntRange(min=1))
@click.option("--undo", is_flag=True, help="Take the tick away.")
@_json_task
@connecting.pass_server
def tick(server: connecting.Server, task_id: str, *, number: int, undo: bool, as_json: bool) -> None:
    """Ticks a subtask of a task, in whatever state the task is.

    NUMBER is its place in the list of subtasks, from 1; show lists them.
    """
    with server.connect() as client:
        task = client.update_subtask(task_id, number, completed=not undo)
    if as_json:
        output.print_json(task)
        return
    for part in task.subtasks:
        click.echo(safety.plain(f"[{'x' if part.completed else ' '}] {part.title}"))


def _edited(client: taskgrove.Client, task_id: str) -> task_pb2.Task:
    """Has a person edit a task; returns it as it is afterwards."""
    task = client.get_task(task_id)
    if task.state != task_pb2.Task.STATE_QUEUED:
        raise exits.Refused(
            f"Task {task_id} does not wait in the queue, it is {words.task_state(task.state)}: what its agent was told "
            "cannot be changed. Tell it more with continue, or have it done again with retry."
        )
    before = task_text.Content.of(task)
    text = task_text.render(before)
    with editor.edited(text, f"taskgrove-{task_id}") as file:
        if file.text == text:
            click.echo("Nothing was changed.", err=True)
            return task
        try:
            after = task_text.parse(file.text)
        except task_text.Invalid as error:
            raise file.refuse(str(error)) from error
        try:
            return client.update_task(
                task_id,
                title=after.title if after.title != before.title else None,
                description=after.description if after.description != before.description else None,
                subtasks=[task_pb2.Subtask(title=title, completed=completed) for title, completed in after.subtasks]
                if after.subtasks != before.subtasks
                else None,
                # Not tried again: somebody else's words would be lost.
                etag=task.etag,
            )
        except errors.TaskgroveError as error:
            raise file.refuse(safety.plain(error.message)) from error
