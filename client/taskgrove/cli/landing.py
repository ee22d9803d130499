"""Commands that bring the work of a task to where it is wanted: land, push."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

import click

from taskgrove import errors
from taskgrove.cli import completing, connecting, exits, nested, obstacles, output, waiting, words
from taskgrove.cli.rendering import safety
from taskgrove.v1 import landing_pb2, task_pb2, worktree_service_pb2

_Check = worktree_service_pb2.CheckLandResponse


#: What each option has taken along that a check finds in the way.
_OVERRULED: dict[Literal["commit_uncommitted", "include_other_commits", "include_unpublished_submodules"], int] = {
    "commit_uncommitted": _Check.OBSTACLE_WORKTREE_DIRTY,
    "include_other_commits": _Check.OBSTACLE_OTHER_COMMITS,
    "include_unpublished_submodules": _Check.OBSTACLE_UNPUBLISHED_SUBMODULE,
}


class _Options(TypedDict):
    target_branch: str | None
    merge: bool
    squash: bool
    rebase: bool
    message: str | None
    commit_uncommitted: bool
    include_other_commits: bool
    include_unpublished_submodules: bool
    check: bool
    as_json: bool


@click.command(
    epilog="""\
\b
Examples:
  taskgrove land k3v5m2qxw7ab --check
  taskgrove land k3v5m2qxw7ab --squash
  taskgrove land k3v5m2qxw7ab --onto release --message "Mend the login"
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks(completing.RESTING))
@click.option(
    "--onto",
    "target_branch",
    metavar="BRANCH",
    help="The local branch to land on.  [default: the list's base branch, else the one that is checked out]",
)
@click.option("--merge", is_flag=True, help="Make a merge commit. This is the default.")
@click.option("--squash", is_flag=True, help="Make one commit of all changes.")
@click.option("--rebase", is_flag=True, help="Make each commit again on top of the branch.")
@click.option("-m", "--message", metavar="TEXT", help="The message of the commit that is made.")
@click.option("--commit-uncommitted", is_flag=True, help="Commit what the worktree has uncommitted, and land that too.")
@click.option(
    "--include-other-commits",
    is_flag=True,
    help="Land commits of others too, as of the branch it was begun on.",
)
@click.option(
    "--include-unpublished-submodules",
    is_flag=True,
    help="Land although the work leads to commits of submodules that no remote repository is known to have.",
)
@click.option("--check", is_flag=True, help="Only tell whether it can land: exit with 0 if so, else with 1.")
@click.option("--json", "as_json", is_flag=True, help="Print the task, or with --check the answer, as JSON.")
@connecting.pass_server
@click.pass_context
def land(ctx: click.Context, server: connecting.Server, /, *, task_id: str, **options: Unpack[_Options]) -> None:
    """Lands the work of a resting task on a branch.

    All of it lands, or nothing moves. Where the branch is checked out, its files follow; what the checkout has changed
    elsewhere stays as it is. The task's own branch and worktree stay; discard removes them.
    """
    strategy = _strategy(options)
    again = obstacles.Attempt(task_id, options["target_branch"], strategy)
    with server.connect() as client:
        with waiting.until_done(f"Looking whether task {task_id} can land"):
            check = client.check_land(task_id, target_branch=options["target_branch"], strategy=strategy)
        # Whether it can land with what it was asked to take along, Land itself must tell.
        overruled = check.obstacle in (obstacle for option, obstacle in _OVERRULED.items() if options[option])
        if options["check"]:
            ctx.exit(_told(again, check, as_json=options["as_json"]))
        if not check.can_land and not overruled:
            raise exits.CannotLand(safety.plain(obstacles.explain(again, check).text))
        try:
            with waiting.until_done(f"Landing task {task_id} on {check.target_branch}"):
                task = client.land(
                    task_id,
                    target_branch=check.target_branch or None,
                    strategy=strategy,
                    message=options["message"],
                    expected_head=check.head_commit or None,
                    commit_uncommitted=options["commit_uncommitted"],
                    include_other_commits=options["include_other_commits"],
                    include_unpublished_submodules=options["include_unpublished_submodules"],
                )
        except errors.TaskgroveError as error:
            # Something has come up since the check: what to do about it, another one tells.
            if not isinstance(error, errors.WorktreeRefused | errors.TaskActive):
                raise
            check = client.check_land(task_id, target_branch=options["target_branch"], strategy=strategy)
            raise exits.CannotLand(safety.plain(obstacles.after(again, check, error).text)) from error
    if options["as_json"]:
        output.print_json(task)
    else:
        click.echo(safety.plain("\n".join([_landed(task), *map(nested.left_out, check.nested_repositories)])))


@click.command(
    epilog="""\
\b
Examples:
  taskgrove push k3v5m2qxw7ab
  taskgrove push k3v5m2qxw7ab --remote fork --branch mend-the-login
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks(completing.RESTING))
@click.option("--remote", metavar="NAME", default="origin", show_default=True, help="A remote of the repository.")
@click.option(
    "--branch",
    "remote_branch",
    metavar="NAME",
    help="The branch in the remote repository.  [default: the name of the task's branch]",
)
@click.option("--force", is_flag=True, help="Replace a branch that has other commits, if nobody has moved it since.")
@click.option("--json", "as_json", is_flag=True, help="Print where it was pushed as JSON.")
@connecting.pass_server
def push(
    server: connecting.Server, task_id: str, *, remote: str, remote_branch: str | None, force: bool, as_json: bool
) -> None:
    """Pushes the work of a resting task to a branch of a remote repository.

    From there it can become a pull request. The server's own git credentials are used, and none are asked for.
    """
    with server.connect() as client, waiting.until_done(f"Pushing the work of task {task_id} to {remote}"):
        pushed = client.push_branch(task_id, remote=remote, remote_branch=remote_branch, force=force)
    if as_json:
        output.print_json(pushed)
        return
    # What the remote says, such as where to open a pull request, is for the person, not for the pipe.
    if pushed.remote_message:
        click.echo(safety.plain(pushed.remote_message.rstrip("\n")), err=True)
    commit = pushed.commit[: words.SHORT]
    click.echo(safety.plain(f"Pushed {commit} to {pushed.remote}, branch {pushed.remote_branch}."))


def _strategy(options: _Options) -> landing_pb2.LandStrategy:
    chosen = {
        landing_pb2.LAND_STRATEGY_MERGE: options["merge"],
        landing_pb2.LAND_STRATEGY_SQUASH: options["squash"],
        landing_pb2.LAND_STRATEGY_REBASE: options["rebase"],
    }
    named = [strategy for strategy, is_chosen in chosen.items() if is_chosen]
    if len(named) > 1:
        raise click.UsageError("--merge, --squash and --rebase exclude each other.")
    if options["message"] is not None and options["rebase"]:
        raise click.UsageError("--message is for --merge and --squash: --rebase keeps the messages that there are.")
    return named[0] if named else landing_pb2.LAND_STRATEGY_MERGE


def _told(again: obstacles.Attempt, check: _Check, *, as_json: bool) -> int:
    """Prints what a check found, which is the answer that was asked for; returns the exit code."""
    if as_json:
        output.print_json(output.as_dict(check, zeros=True))
    elif check.can_land:
        commits = f"{check.commits} commit{'' if check.commits == 1 else 's'}"
        follows = f"; the files in {check.checkout_path} will follow" if check.checkout_path else ""
        click.echo(safety.plain(f"Task {again.task_id} can land on {check.target_branch}: {commits}{follows}."))
        for one in check.nested_repositories:
            click.echo(safety.plain(nested.left_out(one)))
    else:
        click.echo(safety.plain(obstacles.explain(again, check).text))
    return exits.SUCCEEDED if check.can_land else exits.FAILED


def _landed(task: task_pb2.Task) -> str:
    landing = task.worktree.landing
    return f"Task {task.id} has landed on {landing.target_branch} as {landing.commit[: words.SHORT]}."
