"""Decides where a new task goes: to which list, and where in the repository its agent starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

import taskgrove
from taskgrove.cli import exits, projects
from taskgrove.cli.rendering import safety
from taskgrove.v1 import task_list_pb2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for; None where nothing was said."""

    task_list_id: str | None
    directory: Path | None
    subdirectory: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new task goes. `implied` tells that nobody named the subdirectory: it is where the person stands."""

    task_list_id: str
    subdirectory: str
    implied: bool


def place_of(client: taskgrove.Client, wish: Wish) -> Place:
    """Returns where a task goes that is wished for; says on standard error what the person may not expect.

    Raises Refused when the wishes contradict each other.
    """
    if wish.task_list_id is not None:
        return _in_list(client, wish.task_list_id, wish)
    standing = projects.standing_in(wish.directory or Path())
    task_list = projects.task_list_for(client, standing)
    if standing is None:
        click.echo("Not in a git repository: the task works in an empty sandbox directory.", err=True)
    return _place(task_list.id, wish, standing)


def _in_list(client: taskgrove.Client, task_list_id: str, wish: Wish) -> Place:
    """Returns the place in a list that was named.

    The list counts, wherever the person stands, and the place where they stand only in its repository.
    """
    try:
        standing = projects.standing_in(wish.directory or Path())
    except exits.Refused:
        if wish.directory is not None:
            raise
        standing = None
    if wish.directory is None and (standing is None or not standing.subdirectory or wish.subdirectory is not None):
        return _place(task_list_id, wish, None)
    task_list = client.get_task_list(task_list_id)
    if standing is not None and _is_of(task_list, standing.top):
        return _place(task_list_id, wish, standing)
    home = f"is of {task_list.working_dir}" if task_list.working_dir else "has no repository"
    described = f"Task list {task_list_id} ({task_list.title}) {home}"
    if wish.directory is not None:
        raise exits.Refused(f"{described}, and --dir names {wish.directory}: leave out one of the two.")
    if task_list.working_dir:
        click.echo(safety.plain(f"{described}, not of here: the agent starts at its top."), err=True)
    return _place(task_list_id, wish, None)


def _place(task_list_id: str, wish: Wish, standing: projects.Standing | None) -> Place:
    if wish.subdirectory is not None:
        return Place(task_list_id, wish.subdirectory, implied=False)
    return Place(task_list_id, _sendable(standing.subdirectory) if standing else "", implied=True)


def _is_of(task_list: task_list_pb2.TaskList, top: Path) -> bool:
    return bool(task_list.working_dir) and os.path.realpath(top) == task_list.working_dir


def _sendable(subdirectory: str) -> str:
    try:
        subdirectory.encode()
    except UnicodeEncodeError as error:
        raise exits.Refused(
            f"The path of this directory, {safety.plain(subdirectory)}, is no UTF-8, so that no task can start in it: "
            "name another one with --subdirectory, or the repository's top with --subdirectory ."
        ) from error
    return subdirectory
