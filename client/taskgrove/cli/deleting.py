"""The command that deletes tasks: rm."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import (
    batches,
    completing,
    confirming,
    connecting,
    disk_sizes,
    exits,
    parameters,
    removed,
    selecting,
    views,
    waiting,
    words,
)
from taskgrove.cli.rendering import safety
from taskgrove.v1 import task_pb2

#: Of tasks that were not named one by one, so many are shown before a person is asked.
_SHOWN = 20


class _Options(TypedDict):
    task_list_id: str | None
    states: tuple[str, ...]
    before: datetime | None
    discard_worktree: bool
    dry_run: bool
    yes: bool


@click.command(
    epilog="""\
\b
Examples:
  taskgrove rm k3v5m2qxw7ab
  taskgrove rm k3v5m2qxw7ab --discard-worktree --yes
  taskgrove rm --before 30d --state succeeded --dry-run
  taskgrove rm --before 2026-01-01 --discard-worktree
"""
)
@click.argument("task_ids", metavar="[TASK...]", nargs=-1, shell_complete=completing.tasks(completing.RESTING))
@click.option(
    "--before",
    type=parameters.moment,
    metavar="TIME",
    help="All tasks that came to rest so long ago or earlier, such as 30d, or before a date or time.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(selecting.STATES)),
    metavar="STATE",
    help=f"All resting tasks in this state: {', '.join(selecting.STATES)}. May be repeated.",
)
@click.option(
    "--list", "task_list_id", metavar="ID", help="All resting tasks of this list.", shell_complete=completing.task_lists
)
@click.option(
    "--discard-worktree",
    is_flag=True,
    help="Discard the worktree and branch as well, with what is not landed saved to a ref, or remove the sandbox.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be deleted, and what disk that frees.")
@confirming.yes_option
@connecting.pass_server
@click.pass_context
def rm(
    ctx: click.Context, server: connecting.Server, /, *, task_ids: tuple[str, ...], **options: Unpack[_Options]
) -> None:
    """Deletes resting tasks, with their runs and logs.

    Either those that are named, or all that have what the options ask for. A task that still has its worktree or
    sandbox is kept, unless that is to be discarded.
    """
    selection = selecting.Selection(options["before"], options["states"], options["task_list_id"])
    if bool(task_ids) == selection.narrows:
        raise click.UsageError("Name tasks, or say which ones with --before, --state and --list; not both.")
    with server.connect() as client:
        code = exits.SUCCEEDED
        if task_ids:
            found: list[task_pb2.Task] = []
            code = batches.each(task_ids, lambda task_id: found.append(client.get_task(task_id)))
        else:
            with waiting.until_done("Looking for tasks"):
                found = selecting.find(client, selection)
            if not found:
                click.echo("There are no such tasks at rest.", err=True)
        if not found:
            ctx.exit(code)
        if options["dry_run"]:
            _plan(client, found, discard_worktree=options["discard_worktree"])
            ctx.exit(code)
        if not options["yes"]:
            _show(found if task_ids else found[:_SHOWN], of=len(found))
            if not confirming.confirmed(f"Delete {_several(len(found))} for good?"):
                click.echo("Nothing was deleted.", err=True)
                ctx.exit(exits.FAILED)
        deletion = _Deletion(client, found, discard_worktree=options["discard_worktree"], selected=not task_ids)
        ctx.exit(max(code, deletion.run()))


class _Deletion:
    """Deletes tasks one by one. Those that were not named are looked at once more: they may be at work again."""

    def __init__(
        self, client: taskgrove.Client, tasks: Sequence[task_pb2.Task], *, discard_worktree: bool, selected: bool
    ) -> None:
        self._client = client
        self._tasks = {task.id: task for task in tasks}
        self._discard_worktree = discard_worktree
        self._selected = selected
        self._begun = 0
        self._deleted = 0

    def run(self) -> int:
        """Returns the exit code."""
        code = batches.each(list(self._tasks), self._delete)
        if self._selected:
            kept = len(self._tasks) - self._deleted
            click.echo(f"{_several(self._deleted)} deleted{f', {kept} kept' if kept else ''}.", err=True)
        return code

    def _delete(self, task_id: str) -> None:
        task = self._tasks[task_id]
        self._begun += 1
        place = f" ({self._begun} of {len(self._tasks)})" if len(self._tasks) > 1 else ""
        with waiting.until_done(f"Deleting task {task_id}{place}"):
            if self._selected and not self._is_unchanged(task):
                return
            response = self._client.delete_task_response(task_id, discard_worktree=self._discard_worktree)
        self._deleted += 1
        click.echo(f"Task {task_id} is deleted.")
        if response.saved_ref:
            repository = views.repository_of(self._client, task)
            click.echo(removed.way_back(response.saved_ref, task.worktree.branch, repository))
        for line in removed.leftovers(response.leftover_path):
            click.echo(safety.plain(line))

    def _is_unchanged(self, task: task_pb2.Task) -> bool:
        try:
            return self._client.get_task(task.id).finish_time == task.finish_time
        except errors.TaskNotFound:
            return False


def _show(tasks: Sequence[task_pb2.Task], *, of: int) -> None:
    for task in tasks:
        click.echo(_line(task), err=True)
    if of > len(tasks):
        click.echo(f"and {of - len(tasks)} more", err=True)


def _plan(client: taskgrove.Client, tasks: Sequence[task_pb2.Task], *, discard_worktree: bool) -> None:
    """Prints what would be deleted, and how much disk that frees as far as the files can be looked at from here."""
    total = 0
    unknown = kept = 0
    for task in tasks:
        size = disk_sizes.of_task(client, task, with_directory=discard_worktree)
        total += size or 0
        unknown += size is None
        kept += not discard_worktree and selecting.has_directory(task)
        click.echo(_line(task, size))
    # Which of those that may be kept still have a directory, only the server can see.
    most = "up to " if kept else ""
    frees = f", which frees {most}{words.size(total)}" if unknown < len(tasks) else ""
    click.echo(f"{most.capitalize()}{_several(len(tasks))} would be deleted{frees}.", err=True)
    if kept:
        click.echo(
            f"{kept} of them may still have a worktree or a sandbox, and would be kept without --discard-worktree.",
            err=True,
        )


def _line(task: task_pb2.Task, size: int | None = None) -> str:
    known = [f"rested {words.age(task.finish_time)} ago", *([words.size(size)] if size is not None else [])]
    return safety.plain(f"{task.id}  {words.task_state(task.state):<9}  {task.title}  ({', '.join(known)})")


def _several(count: int) -> str:
    return f"{count} task{'' if count == 1 else 's'}"
