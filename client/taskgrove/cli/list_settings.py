"""The options of a task list's worktree settings, and how single ones are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, cast

import click

import taskgrove
from taskgrove.cli import options, parameters, words
from taskgrove.v1 import worktree_settings_pb2

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Settings(TypedDict):
    """The values of `worktree_settings`, as click hands them to a command."""

    base_branch: str | None
    branch_prefix: str | None
    copied_files: tuple[str, ...]
    setup_command: str | None
    setup_timeout: timedelta | None
    landed_after: timedelta | None
    rested_after: timedelta | None


#: The field that each option sets, for options that take one back.
FIELDS = {
    "base-branch": "base_branch",
    "branch-prefix": "branch_prefix",
    "copy": "copied_files",
    "setup": "setup_command",
    "setup-timeout": "setup_timeout",
    "clean-up-landed-after": "landed_after",
    "clean-up-rested-after": "rested_after",
}

#: Those of them that are fields of CleanUp.
_CLEAN_UP = ("landed_after", "rested_after")

_OPTIONS = (
    click.option(
        "--base-branch",
        metavar="NAME",
        help="The branch that tasks start from and land on, such as main or origin/main.  "
        "[default: the one that is checked out]",
    ),
    click.option("--branch-prefix", metavar="TEXT", help="What the names of the tasks' branches begin with."),
    click.option(
        "--copy",
        "copied_files",
        multiple=True,
        metavar="FILE",
        help="A file that git does not track and each worktree needs, such as .env or 'config/*.local'. May be "
        "repeated.",
    ),
    click.option("--setup", "setup_command", metavar="COMMAND", help="A shell line that prepares each new worktree."),
    click.option(
        "--setup-timeout",
        type=parameters.duration,
        metavar="TIME",
        help="The longest time of the setup command.  [default: 10m]",
    ),
    click.option(
        "--clean-up-landed-after",
        "landed_after",
        type=parameters.duration,
        metavar="TIME",
        help="Remove a worktree so long after its work was landed, such as 1d.",
    ),
    click.option(
        "--clean-up-rested-after",
        "rested_after",
        type=parameters.duration,
        metavar="TIME",
        help="Remove any other worktree so long after its task came to rest, such as 30d.",
    ),
)


def worktree_settings(function: _Function) -> _Function:
    """Adds the options that say how worktrees are made and cleaned away; their values are `Settings`."""
    return options.added(_OPTIONS, function)


def asked_for(settings: Settings) -> worktree_settings_pb2.WorktreeSettings | None:
    """Returns the settings that the options name; None when they name none."""
    named = taskgrove.worktree_settings(
        base_branch=settings["base_branch"],
        branch_prefix=settings["branch_prefix"],
        copied_files=settings["copied_files"],
        setup_command=settings["setup_command"],
        setup_timeout=settings["setup_timeout"],
        landed_after=settings["landed_after"],
        rested_after=settings["rested_after"],
    )
    return named if named.ListFields() else None


def merged(
    before: worktree_settings_pb2.WorktreeSettings,
    values: worktree_settings_pb2.WorktreeSettings | None,
    unset: Sequence[str],
) -> worktree_settings_pb2.WorktreeSettings:
    """Returns settings with single ones set, and with the fields named `unset` taken back."""
    after = worktree_settings_pb2.WorktreeSettings()
    after.CopyFrom(before)
    for name in unset:
        (after.clean_up if name in _CLEAN_UP else after).ClearField(cast("Any", name))
    if values is not None:
        # What is repeated, or has two forms, is replaced as a whole.
        if values.copied_files:
            after.ClearField("copied_files")
        if values.HasField("setup_command"):
            after.ClearField("setup_command")
        if values.HasField("setup_timeout"):
            after.ClearField("setup_timeout")
        if values.clean_up.HasField("landed_after"):
            after.clean_up.ClearField("landed_after")
        if values.clean_up.HasField("rested_after"):
            after.clean_up.ClearField("rested_after")
        after.MergeFrom(values)
    if not after.clean_up.ListFields():
        after.ClearField("clean_up")
    return after


def described(settings: worktree_settings_pb2.WorktreeSettings) -> Iterator[tuple[str, str]]:
    """Yields the settings that there are, by the names of their fields."""
    if settings.base_branch:
        yield "base_branch", settings.base_branch
    if settings.branch_prefix:
        yield "branch_prefix", settings.branch_prefix
    if settings.copied_files:
        yield "copied_files", ", ".join(settings.copied_files)
    if settings.HasField("setup_command"):
        yield "setup_command", words.command(settings.setup_command)
    if settings.HasField("setup_timeout"):
        yield "setup_timeout", words.duration(settings.setup_timeout.ToTimedelta())
    if settings.clean_up.HasField("landed_after"):
        yield "landed_after", words.duration(settings.clean_up.landed_after.ToTimedelta())
    if settings.clean_up.HasField("rested_after"):
        yield "rested_after", words.duration(settings.clean_up.rested_after.ToTimedelta())
