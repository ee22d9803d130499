"""Commands for task lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack, cast

import click

from taskgrove.cli import connecting, exits, options, output, parameters, projects, words
from taskgrove.cli.rendering import terminal
from taskgrove.v1 import run_config_pb2, task_list_pb2

_json_object = click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")


@click.group(
    epilog="""\
\b
Examples:
  taskgrove lists create "My project" --dir . --model opus
  taskgrove lists update k3v5m2qxw7ab --timeout 1h --unset model
"""
)
def lists() -> None:
    """Creates, shows, changes and deletes task lists.

    A task list holds what the tasks of one project share: a git repository, or none, and how agents are run.
    """


@lists.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove lists create "My project" --dir ~/src/project --permission-mode acceptEdits
  taskgrove lists create "Checks" --dir . -- make test
""",
)
@click.argument("title")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A directory in the repository.  [default: none; each task works in an empty sandbox directory]",
)
@options.run_settings
@_json_object
@connecting.pass_server
@click.pass_context
def create(
    ctx: click.Context,
    server: connecting.Server,
    /,
    *,
    title: str,
    directory: Path | None,
    as_json: bool,
    **settings: Unpack[options.Settings],
) -> None:
    """Creates a task list and prints its id.

    The options, and words after --, become the defaults of its tasks.
    """
    defaults = options.run_config(settings, parameters.words_of(ctx))
    top = None
    if directory is not None:
        top = projects.repository_of(directory)
        if top is None:
            raise exits.Refused(f"{directory} is not in a git repository: run git init there, or leave --dir out.")
    with server.connect() as client:
        created = client.create_task_list(title, working_dir=top, defaults=defaults)
    if as_json:
        output.print_json(created)
    else:
        click.echo(created.id)


@lists.command(
    epilog="""\
\b
Examples:
  taskgrove lists ls
  taskgrove lists ls --json | jq -r .working_dir
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, instead of a table.")
@connecting.pass_server
def ls(server: connecting.Server, as_json: bool) -> None:
    """Lists the task lists, the newest first."""
    with server.connect() as client:
        found = list(client.list_task_lists())
    if as_json:
        for task_list in found:
            output.print_json(task_list)
        return
    if not found:
        click.echo("There are no task lists.", err=True)
        return
    terminal.Screen().table(
        ["ID", "TITLE", "AGE", "DIRECTORY"],
        [[one.id, one.title, words.age(one.create_time), one.working_dir or "(sandboxes)"] for one in found],
        flexible=3,
    )


@lists.command(epilog="\b\nExample:\n  taskgrove lists show k3v5m2qxw7ab")
@click.argument("task_list_id", metavar="ID")
@_json_object
@connecting.pass_server
def show(server: connecting.Server, task_list_id: str, as_json: bool) -> None:
    """Shows a task list and the defaults of its tasks."""
    with server.connect() as client:
        _print(client.get_task_list(task_list_id), as_json=as_json)


@lists.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove lists update k3v5m2qxw7ab --title "New name"
  taskgrove lists update k3v5m2qxw7ab --model opus --unset max-turns
""",
)
@click.argument("task_list_id", metavar="ID")
@click.option("--title", metavar="TEXT", help="The new title.")
@options.run_settings
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice(list(options.FIELDS)),
    metavar="NAME",
    help="A default to remove, by the name of its option, or 'command'. May be repeated.",
)
@_json_object
@connecting.pass_server
@click.pass_context
def update(
    ctx: click.Context,
    server: connecting.Server,
    /,
    *,
    task_list_id: str,
    title: str | None,
    unset: tuple[str, ...],
    as_json: bool,
    **settings: Unpack[options.Settings],
) -> None:
    """Changes the title of a task list, or single defaults of its tasks.

    Defaults that are not named stay as they are.
    """
    changes = options.run_config(settings, parameters.words_of(ctx))
    changed = [field.name for field, _ in changes.ListFields()]
    removed = [options.FIELDS[name] for name in unset]
    if title is None and not changed and not removed:
        raise click.UsageError("Nothing to change: name a title, a default, or a default to unset.")
    with server.connect() as client:
        defaults: run_config_pb2.RunConfig | None = None
        if changed or removed:
            # The server replaces all defaults at once.
            defaults = client.get_task_list(task_list_id).defaults
            for field in (*changed, *removed):
                defaults.ClearField(field)
            defaults.MergeFrom(changes)
        _print(client.update_task_list(task_list_id, title=title, defaults=defaults), as_json=as_json)


@lists.command(epilog="\b\nExample:\n  taskgrove lists delete k3v5m2qxw7ab")
@click.argument("task_list_ids", metavar="ID...", nargs=-1, required=True)
@connecting.pass_server
def delete(server: connecting.Server, task_list_ids: tuple[str, ...]) -> None:
    """Deletes task lists without queued or running tasks.

    Their tasks, with logs, worktrees and branches, stay, but can no longer be continued.
    """
    with server.connect() as client:
        for task_list_id in task_list_ids:
            client.delete_task_list(task_list_id)
            click.echo(f"Task list {task_list_id} is deleted.")


def _print(task_list: task_list_pb2.TaskList, *, as_json: bool) -> None:
    if as_json:
        output.print_json(task_list)
        return
    fields = [
        ("directory", task_list.working_dir or "(sandboxes)"),
        ("created", words.local_time(task_list.create_time)),
        *((name, _value(value)) for name, value in output.as_dict(task_list.defaults).items()),
    ]
    screen = terminal.Screen()
    screen.print([("task list ", "dim"), (task_list.id, "bold"), (f"  {task_list.title}", "")])
    for name, value in fields:
        screen.print([(f"  {name:<16} ", "dim"), (value, "")])


def _value(value: Any) -> str:
    return ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
