"""Commands that look at tasks: ls, show."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import datetime
from typing import TypedDict, Unpack

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import completing, connecting, holds, nested, output, parameters, views, words
from taskgrove.cli.rendering import safety, summary, terminal
from taskgrove.v1 import task_pb2, task_service_pb2

_STATES = {
    "queued": task_pb2.Task.STATE_QUEUED,
    "running": task_pb2.Task.STATE_RUNNING,
    "succeeded": task_pb2.Task.STATE_SUCCEEDED,
    "failed": task_pb2.Task.STATE_FAILED,
    "cancelled": task_pb2.Task.STATE_CANCELLED,
}

_FAILURES = words.failure_kinds()

_ORDERS = {
    "newest": task_service_pb2.ListTasksRequest.ORDER_NEWEST_FIRST,
    "oldest": task_service_pb2.ListTasksRequest.ORDER_OLDEST_FIRST,
    "changed": task_service_pb2.ListTasksRequest.ORDER_LAST_CHANGED_FIRST,
}

#: The server's bound for a page.
_LARGEST_PAGE = 500


class _Filters(TypedDict):
    """Which tasks `ls` lists, and in which order."""

    task_list_ids: tuple[str, ...]
    states: tuple[str, ...]
    failure_kinds: tuple[str, ...]
    title_contains: str | None
    created_after: datetime | None
    order: str


@click.command(
    epilog="""\
\b
Examples:
  taskgrove ls --state running --state queued
  taskgrove ls --failure rate_limited --since 2h
  taskgrove ls --title login --sort changed
  taskgrove ls --limit 500 --json | jq -r 'select(.state == "STATE_FAILED") | .id'
"""
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
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(_STATES)),
    help="Only tasks in this state. May be repeated.",
)
@click.option(
    "--failure",
    "failure_kinds",
    multiple=True,
    metavar="KIND",
    type=click.Choice(list(_FAILURES)),
    help="Only tasks that failed in this way, such as auth, rate_limited or timeout. May be repeated.",
)
@click.option("--title", "title_contains", metavar="TEXT", help="Only tasks whose title has this text somewhere.")
@click.option(
    "--since",
    "created_after",
    type=parameters.moment,
    metavar="TIME",
    help="Only tasks that were enqueued so long ago or later, such as 2h or 7d, or since a date or time.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(_ORDERS)),
    default="newest",
    show_default=True,
    help="Which come first: the newest, the oldest, or those that changed last.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="The most tasks to print.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, instead of a table.")
@connecting.pass_server
def ls(server: connecting.Server, /, *, limit: int, as_json: bool, **filters: Unpack[_Filters]) -> None:
    """Lists tasks, the newest first unless told otherwise."""
    lists, states, failures = filters["task_list_ids"], filters["states"], filters["failure_kinds"]
    with server.connect() as client:
        found = itertools.islice(
            client.list_tasks(
                # A server that knows no other field than this one understands what asks for a single list.
                task_list_id=lists[0] if lists else None,
                task_list_ids=lists[1:],
                states=tuple(_STATES[state] for state in states),
                failure_kinds=tuple(_FAILURES[kind] for kind in failures),
                title_contains=filters["title_contains"],
                created_after=filters["created_after"],
                order=_ORDERS[filters["order"]],
                page_size=min(limit, _LARGEST_PAGE),
                view=task_pb2.TASK_VIEW_FULL if as_json else task_pb2.TASK_VIEW_SUMMARY,
            ),
            limit,
        )
        if as_json:
            for task in found:
                output.print_json(task)
            return
        tasks = list(found)
        titles = {one: _list_title(client, one) for one in {task.task_list_id for task in tasks}}
        held = client.get_server_info().holds if any(map(words.is_waiting, tasks)) else ()
    if not tasks:
        click.echo("There are no such tasks." if _narrows(filters) else "There are no tasks.", err=True)
        return
    terminal.Screen().table(
        ["ID", "STATE", "TITLE", "AGE", "TIME", "RUNS", "LIST"],
        [
            [
                task.id,
                words.standing(task),
                task.title,
                words.age(task.create_time),
                words.elapsed(task),
                str(task.run_count),
                titles[task.task_list_id],
            ]
            for task in tasks
        ],
        flexible=2,
    )
    for hold in held:
        click.echo(safety.plain(holds.sentence(hold)), err=True)


@click.command(
    epilog="""\
\b
Examples:
  taskgrove show k3v5m2qxw7ab
  taskgrove show k3v5m2qxw7ab --json | jq -r '.runs[-1].structured_output'
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks())
@click.option("--json", "as_json", is_flag=True, help='Print one JSON object: {"task": ..., "runs": [...]}.')
@connecting.pass_server
def show(server: connecting.Server, task_id: str, as_json: bool) -> None:
    """Shows a task and its runs."""
    with server.connect() as client:
        task = client.get_task(task_id)
        runs = list(client.list_runs(task_id))
        if as_json:
            output.print_json({"task": output.as_dict(task), "runs": [output.as_dict(run) for run in runs]})
            return
        title = _list_title(client, task.task_list_id)
        repository = views.repository_of(client, task)
        inside = _nested_repositories(client, task)
        held = holds.News(client).of(task)
    screen = terminal.Screen()
    screen.print(*summary.of_task(task, title, inside))
    for sentence in held:
        screen.notice(sentence)
    for run in runs:
        screen.print(*summary.of_past_run(run))
    if task.state in words.RESTING:
        screen.print(*summary.of_rest(task, runs, repository=repository, shown=False))


def _nested_repositories(client: taskgrove.Client, task: task_pb2.Task) -> list[str]:
    """Returns a line for each repository inside the task's worktree, as long as that is there."""
    if task.state not in words.RESTING or task.worktree.state != task_pb2.Worktree.STATE_PRESENT:
        return []
    with suppress(errors.TaskgroveError):
        return [nested.line(one) for one in client.get_worktree_status(task.id).nested_repositories]
    return []


def _narrows(filters: _Filters) -> bool:
    return any(value for name, value in filters.items() if name != "order")


def _list_title(client: taskgrove.Client, task_list_id: str) -> str:
    """Returns the title of a list, or its id when it was deleted."""
    try:
        return client.get_task_list(task_list_id).title
    except errors.TaskListNotFound:
        return f"{task_list_id} (deleted)"
