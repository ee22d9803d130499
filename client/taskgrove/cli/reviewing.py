"""The command that shows the work of a task: diff."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import IO, TypedDict, Unpack

import click

import taskgrove
from taskgrove import diffs
from taskgrove.cli import completing, connecting, output, paging
from taskgrove.cli.rendering import patch
from taskgrove.v1 import change_pb2

#: The largest bound of a patch that the server takes.
_LARGEST_PATCH = 67_108_864


class _Form(TypedDict):
    """How the work is shown."""

    stat: bool
    name_only: bool
    as_json: bool
    no_pager: bool
    color: str


class _What(TypedDict):
    """What of the work is shown."""

    target_branch: str | None
    committed_only: bool
    context_lines: int | None
    max_patch_bytes: int


class _Options(_Form, _What):
    """The options of `diff`."""


@click.command(
    epilog="""\
\b
Examples:
  taskgrove diff k3v5m2qxw7ab
  taskgrove diff k3v5m2qxw7ab --stat
  taskgrove diff k3v5m2qxw7ab src docs/index.md
  taskgrove diff k3v5m2qxw7ab --against release --committed > work.patch
"""
)
@click.argument("task_id", metavar="TASK", shell_complete=completing.tasks())
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--stat", is_flag=True, help="Show the files with the numbers of their changed lines, and a total.")
@click.option("--name-only", is_flag=True, help="Show the names of the changed files.")
@click.option("--committed", "committed_only", is_flag=True, help="Leave out what the worktree has uncommitted.")
@click.option(
    "--against",
    "target_branch",
    metavar="BRANCH",
    help="The local branch to compare with.  [default: the list's base branch, else the one that is checked out]",
)
@click.option(
    "-U",
    "--context-lines",
    type=click.IntRange(0, 1000),
    metavar="N",
    help="How many unchanged lines surround a change.  [default: 3]",
)
@click.option(
    "--max-patch-bytes",
    type=click.IntRange(1, _LARGEST_PATCH),
    default=1_048_576,
    show_default=True,
    metavar="N",
    help="Where the patch of a single file is cut, which is told.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to colour; auto does on a terminal, unless NO_COLOR is set.",
)
@paging.no_pager
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file, without patches.")
@connecting.pass_server
def diff(server: connecting.Server, /, *, task_id: str, paths: tuple[str, ...], **options: Unpack[_Options]) -> None:
    """Shows what a task has changed.

    Prints the changes of the task's worktree since it left the target branch, as git diff does, whether they are
    committed or not. Works while the agent does, and after the worktree is gone.

    PATH keeps to a file, or to what lies below a directory; it is relative to the top of the repository.
    """
    if sum((options["stat"], options["name_only"], options["as_json"])) > 1:
        raise click.UsageError("--stat, --name-only and --json exclude each other.")
    with server.connect() as client:
        if options["as_json"]:
            files = _files(client, task_id, paths, options)
            output.print_json_lines(map(output.file_as_dict, files))
            return
        terminal = paging.on_terminal()
        colour = options["color"] == "always" or (options["color"] == "auto" and terminal and paging.wants_colour())
        cut: list[str] = []
        with paging.paged(enabled=not options["no_pager"]) as out:
            if options["name_only"]:
                for file in _files(client, task_id, paths, options):
                    out.write(f"{patch.one_line(file.path)}\n".encode() if terminal else _raw_name(file))
            elif options["stat"]:
                out.writelines(patch.statistics(list(_files(client, task_id, paths, options)), colour=colour))
            else:
                # Raw for a program that reads it, so that `git apply` gets what git wrote.
                cut = _patches(client, task_id, paths, options, out, raw=not (terminal or colour), colour=colour)
    for path in cut:
        name = patch.one_line(path)
        click.echo(
            f"The patch of {name} was cut after {options['max_patch_bytes']} bytes. To see it whole: "
            f"taskgrove diff {task_id} --max-patch-bytes {_LARGEST_PATCH} -- {shlex.quote(name)}",
            err=True,
        )


def _patches(
    client: taskgrove.Client,
    task_id: str,
    paths: tuple[str, ...],
    what: _What,
    out: IO[bytes],
    *,
    raw: bool,
    colour: bool,
) -> list[str]:
    """Writes each patch as it comes; returns the names of the files whose patches were cut."""
    cut: list[str] = []
    parts = client.iterate_diff(
        task_id,
        target_branch=what["target_branch"],
        committed_only=what["committed_only"],
        paths=paths,
        context_lines=what["context_lines"],
        max_patch_bytes=what["max_patch_bytes"],
    )
    for part in parts:
        if not isinstance(part, diffs.FileDiff):
            continue
        if part.truncated:
            cut.append(part.file.path)
        if raw:
            out.write(part.patch)
        else:
            out.writelines(patch.render(part.patch, colour=colour))
        out.flush()
    return cut


def _files(
    client: taskgrove.Client, task_id: str, paths: tuple[str, ...], what: _What
) -> Iterator[change_pb2.ChangedFile]:
    """Yields the changed files, without their patches."""
    if not paths:
        yield from client.list_changed_files(
            task_id, target_branch=what["target_branch"], committed_only=what["committed_only"]
        )
        return
    parts = client.iterate_diff(
        task_id,
        target_branch=what["target_branch"],
        committed_only=what["committed_only"],
        paths=paths,
        # Only a listing of the whole work comes without patches.
        max_patch_bytes=1,
    )
    for part in parts:
        if isinstance(part, diffs.FileDiff):
            yield part.file


def _raw_name(file: change_pb2.ChangedFile) -> bytes:
    return (file.raw_path or file.path.encode()) + b"\n"
