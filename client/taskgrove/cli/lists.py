"""Commands for task lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack, cast

import click

from taskgrove.cli import (
    completing,
    connecting,
    exits,
    list_settings,
    options,
    output,
    parameters,
    projects,
    retrying,
    words,
)
from taskgrove.cli.rendering import terminal
from taskgrove.v1 import run_config_pb2, task_list_pb2, worktree_settings_pb2

_json_object = click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")


class _Settings(options.Settings, list_settings.Settings):
    """The options that `create` and `update` share."""


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
  taskgrove lists create "My project" --dir . --base-branch main --copy .env --setup "make setup"
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
@list_settings.worktree_settings
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
    **settings: Unpack[_Settings],
) -> None:
    """Creates a task list and prints its id.

    The options, and words after --, become the defaults of its tasks, and say how their worktrees are made.
    """
    defaults = options.run_config(settings, parameters.words_of(ctx))
    top = None
    if directory is not None:
        top = projects.repository_of(directory)
        if top is None:
            raise exits.Refused(f"{directory} is not in a git repository: run git init there, or leave --dir out.")
    with server.connect() as client:
        created = client.create_task_list(
            title, working_dir=top, defaults=defaults, worktree_settings=list_settings.asked_for(settings)
        )
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
@click.argument("task_list_id", metavar="ID", shell_complete=completing.task_lists)
@_json_object
@connecting.pass_server
def show(server: connecting.Server, task_list_id: str, as_json: bool) -> None:
    """Shows a task list, with the defaults and worktree settings of its tasks."""
    with server.connect() as client:
        _print(client.get_task_list(task_list_id), as_json=as_json)


@lists.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove lists update k3v5m2qxw7ab --title "New name"
  taskgrove lists update k3v5m2qxw7ab --model opus --unset max-turns
  taskgrove lists update k3v5m2qxw7ab --clean-up-landed-after 1d --unset setup
""",
)
@click.argument("task_list_id", metavar="ID", shell_complete=completing.task_lists)
@click.option("--title", metavar="TEXT", help="The new title.")
@options.run_settings
@list_settings.worktree_settings
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice([*options.FIELDS, *list_settings.FIELDS]),
    metavar="NAME",
    help="A default or setting to remove, by the name of its option, or 'command'. May be repeated.",
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
    **settings: Unpack[_Settings],
) -> None:
    """Changes the title of a task list, or single defaults and worktree settings of its tasks.

    What is not named stays as it is. Queued tasks and later runs take the new values.
    """
    changes = options.Changes.of(
        options.run_config(settings, parameters.words_of(ctx)), [name for name in unset if name in options.FIELDS]
    )
    worktrees = list_settings.asked_for(settings)
    removed = [list_settings.FIELDS[name] for name in unset if name in list_settings.FIELDS]
    if title is None and not changes and worktrees is None and not removed:
        raise click.UsageError("Nothing to change: name a title, a default or setting, or one to unset.")
    with server.connect() as client:

        def change() -> task_list_pb2.TaskList:
            before = client.get_task_list(task_list_id)
            # The server replaces all defaults at once, and all settings; what somebody else has changed meanwhile
            # must not be put back.
            settings_after: worktree_settings_pb2.WorktreeSettings | None = None
            if worktrees is not None or removed:
                settings_after = list_settings.merged(before.worktree_settings, worktrees, removed)
            return client.update_task_list(
                task_list_id,
                title=title,
                defaults=changes.merged(before.defaults) if changes else None,
                worktree_settings=settings_after,
                etag=before.etag,
            )

        _print(retrying.insist(change), as_json=as_json)


@lists.command(epilog="\b\nExample:\n  taskgrove lists delete k3v5m2qxw7ab")
@click.argument("task_list_ids", metavar="ID...", nargs=-1, required=True, shell_complete=completing.task_lists)
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
        *_described(task_list.defaults),
        *list_settings.described(task_list.worktree_settings),
    ]
    screen = terminal.Screen()
    screen.print([("task list ", "dim"), (task_list.id, "bold"), (f"  {task_list.title}", "")])
    for name, value in fields:
        screen.print([(f"  {name:<16} ", "dim"), (value, "")])


def _described(defaults: run_config_pb2.RunConfig) -> Iterator[tuple[str, str]]:
    """Yields the defaults that there are, by the names of their fields."""
    for name, value in output.as_dict(defaults).items():
        if name == "command":
            yield name, words.command(defaults.command)
        else:
            yield name, ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
