"""Commands that clear away what is no longer needed: discard and prune."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import click

from taskgrove.cli import (
    batches,
    completing,
    confirming,
    connecting,
    exits,
    nested,
    output,
    parameters,
    removed,
    views,
    waiting,
)
from taskgrove.cli.rendering import safety
from taskgrove.v1 import worktree_service_pb2

_json_removals = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each removal.")


@click.command(
    epilog="""\
\b
Examples:
  taskgrove discard k3v5m2qxw7ab --dry-run
  taskgrove ls --state failed --json | jq -r .id | xargs taskgrove discard --yes
"""
)
@click.argument(
    "task_ids", metavar="TASK...", nargs=-1, required=True, shell_complete=completing.tasks(completing.RESTING)
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")
@confirming.yes_option
@_json_removals
@connecting.pass_server
@click.pass_context
def discard(
    ctx: click.Context,
    server: connecting.Server,
    /,
    *,
    task_ids: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Removes the worktrees and branches of resting tasks.

    What is not landed is saved to a ref first, from which git branch or continue get it back. Files that git
    ignores are removed for good.
    """
    with server.connect() as client:
        due: list[str] = []

        def preview(task_id: str) -> None:
            removal = client.discard_worktree(task_id, dry_run=True).removal
            if removal.path or removal.branch or removal.leftover_path:
                due.append(task_id)
            if as_json and dry_run:
                output.print_json(output.as_dict(removal, zeros=True))
            elif not as_json:
                # Only the plan was asked for, or else it leads to a question.
                click.echo(_planned(removal), err=not dry_run)

        code = batches.each(task_ids, preview)
        if dry_run or not due:
            ctx.exit(code)
        if not yes and not confirming.confirmed(f"Discard {_counted(due, 'worktree')}?"):
            click.echo("Nothing was discarded.", err=True)
            ctx.exit(exits.FAILED)

        def remove(task_id: str) -> None:
            with waiting.until_done(f"Discarding the worktree of task {task_id}"):
                response = client.discard_worktree(task_id)
            if as_json:
                output.print_json(output.as_dict(response.removal, zeros=True))
            else:
                click.echo(_discarded(response, views.repository_of(client, response.task)))

        ctx.exit(max(code, batches.each(due, remove)))


@click.command(
    epilog="""\
\b
Examples:
  taskgrove prune
  taskgrove prune --list k3v5m2qxw7ab --rested-for 30d --dry-run
"""
)
@click.option("--list", "task_list_id", metavar="ID", help="Only of this list.", shell_complete=completing.task_lists)
@click.option(
    "--rested-for",
    type=parameters.duration,
    metavar="TIME",
    help="Remove the worktrees of tasks that have rested for at least so long, such as 30d.  "
    "[default: what the lists' clean-up settings say]",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")
@_json_removals
@connecting.pass_server
@click.pass_context
def prune(
    ctx: click.Context,
    server: connecting.Server,
    /,
    *,
    task_list_id: str | None,
    rested_for: timedelta | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Removes the directories of worktrees that have had their time.

    Branches stay, unless their work was landed; what is not committed is saved to a ref first. Continue makes a
    worktree again. The server does the same by itself for lists that have clean-up settings; see lists update.
    """
    count = 0
    with server.connect() as client:
        while True:
            with waiting.until_done("Looking through the worktrees" if dry_run else "Removing worktrees"):
                response = client.prune_worktrees(task_list_id=task_list_id, rested_for=rested_for, dry_run=dry_run)
            for removal in response.removals:
                count += 1
                if as_json:
                    output.print_json(output.as_dict(removal, zeros=True))
                else:
                    click.echo(_planned(removal) if dry_run else _pruned(removal))
            # A dry run would tell of the same ones again, and so would those that cannot be removed.
            if dry_run or not response.more or not response.removals:
                break
    if dry_run and response.more:
        click.echo("More worktrees are due than are shown.", err=True)
    if not count:
        click.echo("No worktree is due.", err=True)
    if response.failures:
        click.echo(f"taskgrove: {response.failures} could not be removed; the log of the server tells why.", err=True)
        ctx.exit(exits.REFUSED)


def _planned(removal: worktree_service_pb2.Removal) -> str:
    """Returns what would be removed, in a line or more."""
    if not removal.path and not removal.branch and not removal.leftover_path:
        return f"Task {removal.task_id}: there is nothing left to remove."
    lines = [f"Task {removal.task_id}:"]
    if removal.path:
        lines.append(f"  worktree   {removal.path}")
    if removal.branch:
        lines.append(f"  branch     {removal.branch}")
    if removal.leftover_path:
        lines.append(f"  left over  {removal.leftover_path}")
    if work := _unlanded(removal):
        lines.append(f"  saves      {work}")
    lines += (f"  inside     {nested.line(one)}" for one in removal.nested_repositories)
    return safety.plain("\n".join(lines))


def _pruned(removal: worktree_service_pb2.Removal) -> str:
    lines = [f"Task {removal.task_id}: there was nothing left to remove."]
    if removal.path or removal.branch:
        saved = f"; what was not landed is saved at {removal.saved_ref}" if removal.saved_ref else ""
        lines = [f"Task {removal.task_id}: {removal.path or removal.branch} is removed{saved}."]
    lines += nested.saved(removal.saved_repositories)
    return safety.plain("\n".join([*lines, *removed.leftovers(removal.leftover_path)]))


def _discarded(response: worktree_service_pb2.DiscardWorktreeResponse, repository: str) -> str:
    removal = response.removal
    said = f"Task {removal.task_id}: the worktree is discarded."
    if removal.saved_ref:
        branch = removal.branch or response.task.worktree.branch
        said += "\n" + removed.way_back(removal.saved_ref, branch, repository)
    saved = nested.saved(removal.saved_repositories)
    return safety.plain("\n".join([said, *saved, *removed.leftovers(removal.leftover_path)]))


def _unlanded(removal: worktree_service_pb2.Removal) -> str:
    parts = [
        (removal.unlanded_commits, "commit that is not landed", "commits that are not landed"),
        (removal.uncommitted_files, "file that is not committed", "files that are not committed"),
    ]
    return ", ".join(f"{count} {one if count == 1 else several}" for count, one, several in parts if count)


def _counted(things: Sequence[str], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
