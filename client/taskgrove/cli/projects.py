"""Finds the task list that a new task belongs to, and makes it where there is none."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import taskgrove
from taskgrove import errors
from taskgrove.cli import asking, exits
from taskgrove.cli.rendering import safety
from taskgrove.v1 import task_list_pb2

#: The title of the list whose tasks have no repository.
SANDBOX = "sandbox"


#: Lists of one repository that are named when there are several.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """A place in a repository: its top level, and the path from there, which is empty for the top itself."""

    top: Path
    subdirectory: str


def standing_in(directory: Path) -> Standing | None:
    """Returns where a directory is in the repository around it; None outside of one. Raises what repository_of does."""
    top = repository_of(directory)
    if top is None:
        return None
    # Git goes by the real path as well: a person may have come here through a symbolic link.
    real, real_top = Path(os.path.realpath(directory)), Path(os.path.realpath(top))
    path = real.relative_to(real_top) if real.is_relative_to(real_top) else Path()
    return Standing(top, "" if path == Path() else path.as_posix())


def task_list_for(client: taskgrove.Client, standing: Standing | None) -> task_list_pb2.TaskList:
    """Returns the list of a repository, the newest if there are several, or the sandbox list outside of one.

    Says on standard error which one it is, where there is a choice.
    """
    if standing is None:
        for task_list in client.list_task_lists():
            if task_list.title == SANDBOX and not task_list.working_dir:
                return task_list
        return client.create_task_list(SANDBOX)
    top = standing.top
    found = list(itertools.islice(client.list_task_lists(working_dir=top, page_size=_NAMED + 2), _NAMED + 2))
    if not found:
        return _made(client, top)
    if len(found) > 1:
        click.echo(safety.plain(_choice(top, found)), err=True)
    return found[0]


def _choice(top: Path, found: Sequence[task_list_pb2.TaskList]) -> str:
    names = [f"{one.id} ({one.title})" for one in found]
    others = ", ".join(names[1 : _NAMED + 1])
    more = " and more, see: taskgrove lists ls" if len(names) > _NAMED + 1 else ""
    return (
        f"{top} has several task lists: the task goes to the newest, {names[0]}. "
        f"To choose another, use --list ID: {others}{more}"
    )


def _made(client: taskgrove.Client, top: Path) -> task_list_pb2.TaskList:
    """Makes the list of a repository, or says how to."""
    try:
        return client.create_task_list(top.name, working_dir=top)
    except errors.BranchPrefixTaken as error:
        prefix = error.metadata["branch_prefix"]
        name = ("--", top.name) if top.name.startswith("-") else (top.name,)
        words = ("taskgrove", "lists", "create", "--dir", str(top), "--branch-prefix", prefix, *name)
        raise exits.Refused(
            f"{error.message}\nMake a task list of the repository with such a prefix, and run this command again:\n"
            f"  {shlex.join(words)}"
        ) from error


def repository_of(directory: Path) -> Path | None:
    """Returns the top level of the git checkout around a directory; None when there is no repository.

    Raises Refused when git finds a repository that it cannot use: its owner is not trusted, it is bare; or when git
    does not answer.
    """
    try:
        found = asking.ask(["git", "-C", directory, "rev-parse", "--show-toplevel"], own_environment())
    except FileNotFoundError as error:
        raise exits.Refused(
            "git is not installed, so the repository cannot be found: name a task list with --list."
        ) from error
    if found is None:
        raise exits.Refused(
            f"git does not answer in {directory} within {asking.PATIENCE:g} seconds: see whether its file system "
            "does, and what 'git rev-parse' waits for there."
        )
    if found.status == 0:
        return Path(found.output.removesuffix("\n"))
    if "not a git repository" in found.words:
        return None
    raise exits.Refused(f"git cannot use the repository at {directory}: {found.words.strip()}")


def own_environment() -> dict[str, str]:
    """Returns the environment for git: without what a git hook would redirect it by, with its sentences in English."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
