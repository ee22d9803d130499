"""Commands that give agents work and follow it: run, enqueue, watch, continue, retry, cancel."""

from __future__ import annotations

from typing import Unpack

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import (
    batches,
    completing,
    connecting,
    exits,
    following,
    options,
    output,
    parameters,
    placing,
    private_server,
    views,
    words,
)
from taskgrove.cli.rendering import safety
from taskgrove.v1 import task_pb2, task_service_pb2

_Outcome = task_service_pb2.CancelResponse.Outcome

_json_lines = click.option(
    "--json", "as_json", is_flag=True, help="Write the agent's lines untouched to standard output, nothing else."
)


@click.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove run "Fix the flaky login test" --description @issue.md
  taskgrove run "Review the API" --model opus --allow-tool 'Bash(git *)' --timeout 30m
  taskgrove run "Check the build" -- make test
  taskgrove run "Mend the app" --subdirectory packages/app
  taskgrove run "List the routes" --schema routes.json --json > lines.ndjson
""",
)
@options.work
@_json_lines
@connecting.pass_server
@click.pass_context
def run(ctx: click.Context, server: connecting.Server, /, *, as_json: bool, **work: Unpack[options.Work]) -> None:
    """Enqueues a task and shows its work until it rests.

    Ctrl-C cancels the task; a second one leaves without waiting for it to rest. When no server answers, a private
    one is started, and stopped at the end.

    Words after -- are a program for the agent 'command': it gets the task on standard input.
    """
    config = options.run_config(work, parameters.words_of(ctx))
    if not server.is_default:
        ctx.exit(_run(server, config, work, as_json=as_json, private=None))
    with private_server.ensured() as private:
        ctx.exit(_run(server, config, work, as_json=as_json, private=private))


def _run(
    server: connecting.Server,
    config: taskgrove.RunConfig,
    work: options.Work,
    *,
    as_json: bool,
    private: private_server.PrivateServer | None,
) -> int:
    with server.connect() as client:
        task = _enqueue(client, work, config)
        if private:
            private.task_id = task.id
        view = _view(client, as_json=as_json)

        def cancel_once(_line: int) -> bool:
            view.notice(_cancelling(client, task.id))
            return True

        return exits.of(following.follow(client, task.id, view, on_interrupt=cancel_once))


@click.command(
    cls=parameters.TaskCommand,
    epilog="""\
\b
Examples:
  taskgrove enqueue "Update the changelog" --subtask "Collect the changes" --subtask "Write them down"
  taskgrove watch "$(taskgrove enqueue 'Check the build' -- make test)"
""",
)
@options.work
@click.option("--json", "as_json", is_flag=True, help="Print the task as JSON instead of its id.")
@connecting.pass_server
@click.pass_context
def enqueue(ctx: click.Context, server: connecting.Server, /, *, as_json: bool, **work: Unpack[options.Work]) -> None:
    """Enqueues a task and prints its id.

    Words after -- are a program for the agent 'command': it gets the task on standard input.
    """
    config = options.run_config(work, parameters.words_of(ctx))
    with server.connect() as client:
        task = _enqueue(client, work, config)
    if as_json:
        output.print_json(task)
    else:
        click.echo(task.id)


@click.command(
    epilog="""\
\b
Examples:
  taskgrove watch k3v5m2qxw7ab
  taskgrove watch k3v5m2qxw7ab --after-line 120 --json | jq .type
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks())
@click.option(
    "--after-line",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Start after this line of the task.  [default: from the first line]",
)
@_json_lines
@connecting.pass_server
@click.pass_context
def watch(ctx: click.Context, server: connecting.Server, task_id: str, after_line: int, as_json: bool) -> None:
    """Shows a task's work until it rests.

    Lines of runs that ended earlier are shown first. Ctrl-C stops watching; the task goes on.
    """
    with server.connect() as client:
        # A watch waits for a server that is away; a first call says that there is none.
        client.get_task(task_id)
        ctx.exit(_watch(client, task_id, after_line=after_line, as_json=as_json))


@click.command(
    "continue",
    epilog="""\
\b
Examples:
  taskgrove continue k3v5m2qxw7ab "Also cover the error case"
  git diff | taskgrove continue k3v5m2qxw7ab - --detach
""",
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks(completing.RESTING))
@click.argument("prompt", metavar="PROMPT", type=parameters.text)
@click.option("--detach", is_flag=True, help="Do not watch: print the task's id and leave.")
@_json_lines
@connecting.pass_server
@click.pass_context
def continue_(
    ctx: click.Context, server: connecting.Server, /, *, task_id: str, prompt: str, detach: bool, as_json: bool
) -> None:
    """Tells a resting task's agent what to do next.

    Then shows its work until it rests again. Ctrl-C stops watching; the task goes on.

    PROMPT is the text, @FILE for a file's content, or - for standard input.
    """
    with server.connect() as client:
        task = client.continue_task(task_id, prompt)
        if detach:
            click.echo(task.id)
            return
        ctx.exit(_watch(client, task.id, after_line=task.last_line, as_json=as_json))


@click.command(
    epilog="""\
\b
Examples:
  taskgrove retry k3v5m2qxw7ab
  taskgrove ls --state failed --json | jq -r .id | xargs -n 1 taskgrove retry --detach
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks(completing.RESTING))
@click.option("--detach", is_flag=True, help="Do not watch: print the task's id and leave.")
@_json_lines
@connecting.pass_server
@click.pass_context
def retry(ctx: click.Context, server: connecting.Server, task_id: str, *, detach: bool, as_json: bool) -> None:
    """Has a resting task done again from the start.

    The agent begins a new session, in a new worktree and on a new branch. What the task did before and was not landed
    is saved to a ref. Then shows its work until it rests again; Ctrl-C stops watching, and the task goes on.
    """
    with server.connect() as client:
        task = client.retry_task(task_id)
        if detach:
            click.echo(task.id)
            return
        ctx.exit(_watch(client, task.id, after_line=task.last_line, as_json=as_json))


@click.command(
    epilog="""\
\b
Examples:
  taskgrove cancel k3v5m2qxw7ab
  taskgrove ls --state queued --json | jq -r .id | xargs taskgrove cancel
"""
)
@click.argument(
    "task_ids", metavar="TASK...", nargs=-1, required=True, shell_complete=completing.tasks(completing.ACTIVE)
)
@connecting.pass_server
@click.pass_context
def cancel(ctx: click.Context, server: connecting.Server, task_ids: tuple[str, ...]) -> None:
    """Cancels tasks.

    A queued task rests at once; a running one is stopped, with every process that it started.
    """
    with server.connect() as client:
        ctx.exit(batches.each(task_ids, lambda task_id: click.echo(_cancelled(client.cancel(task_id)))))


def _enqueue(client: taskgrove.Client, work: options.Work, config: taskgrove.RunConfig) -> task_pb2.Task:
    wish = placing.Wish(work["task_list_id"], work["directory"], work["subdirectory"])
    place = placing.place_of(client, wish)
    try:
        task = client.enqueue(
            place.task_list_id,
            work["title"],
            description=work["description"],
            subtasks=work["subtask"],
            overrides=config,
            subdirectory=place.subdirectory,
        )
    except (errors.DirectoryNotFound, errors.InvalidRequest) as error:
        if not place.implied or not (isinstance(error, errors.DirectoryNotFound) or _is_about_place(error)):
            raise
        raise exits.Refused(
            safety.plain(f"{error.message} To start at the repository's top, use: --subdirectory .")
        ) from error
    if place.implied and place.subdirectory:
        _say_where(task)
    return task


def _is_about_place(error: errors.InvalidRequest) -> bool:
    return all(field == "subdirectory" for field, _ in error.violations)


def _say_where(task: task_pb2.Task) -> None:
    """Says where the agent starts, which a server from before tasks had subdirectories does not know."""
    said = f"The agent starts in {task.subdirectory}; at the repository's top with --subdirectory ."
    if not task.subdirectory:
        said = "The server is too old for tasks that start below the repository's top: the agent starts at the top."
    click.echo(safety.plain(said), err=True)


def _watch(client: taskgrove.Client, task_id: str, *, after_line: int, as_json: bool) -> int:
    view = _view(client, as_json=as_json)

    def detach(line: int) -> bool:
        view.notice(f"The task goes on. To see more of it: taskgrove watch {task_id} --after-line {line}")
        return False

    return exits.of(following.follow(client, task_id, view, after_line=after_line, on_interrupt=detach))


def _view(client: taskgrove.Client, *, as_json: bool) -> following.View:
    return views.JsonView() if as_json else views.PersonView(client)


def _cancelling(client: taskgrove.Client, task_id: str) -> str:
    """Cancels a task that is being followed, and returns what to say about it."""
    try:
        said = _cancelled(client.cancel(task_id))
    except errors.TaskgroveError as error:
        said = f"The task could not be cancelled: {error.message}"
    return f"{said} Press Ctrl-C again to leave at once."


def _cancelled(response: task_service_pb2.CancelResponse) -> str:
    """Returns what came of a cancel, as a sentence."""
    task = response.task
    match response.outcome:
        case task_service_pb2.CancelResponse.OUTCOME_CANCELLED:
            return f"Task {task.id} is cancelled; it had not begun."
        case task_service_pb2.CancelResponse.OUTCOME_STOPPING:
            return f"Task {task.id} is being stopped."
        case task_service_pb2.CancelResponse.OUTCOME_TOO_LATE:
            return f"Task {task.id} has already succeeded; its changes are being committed."
        case task_service_pb2.CancelResponse.OUTCOME_ALREADY_RESTED:
            return f"Task {task.id} was at rest already: {words.task_state(task.state)}."
        case _:
            return f"Task {task.id}: the server knows an outcome that this version does not."
