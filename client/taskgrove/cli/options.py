"""Options that several commands share, and the request fields that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

import click

import taskgrove
from taskgrove.cli import completing, parameters
from taskgrove.v1 import run_config_pb2

_Function = TypeVar("_Function", bound="Callable[..., Any]")

#: The field of RunConfig that each option sets, for options that take one back.
FIELDS = {
    "agent": "agent",
    "model": "model",
    "system-prompt": "system_prompt",
    "agent-file": "agent_path",
    "schema": "output_schema",
    "permission-mode": "permission_mode",
    "allow-tool": "allowed_tools",
    "max-turns": "max_turns",
    "timeout": "run_timeout",
    "stall-timeout": "stall_timeout",
    "linger": "linger",
    "log-limit": "log_limit",
    "setting-source": "setting_sources",
    "command": "command",
}


class Settings(TypedDict):
    """The values of `run_settings`, as click hands them to a command."""

    agent: str | None
    model: str | None
    system_prompt: str | None
    agent_file: str | None
    schema: str | None
    permission_mode: str | None
    allow_tool: tuple[str, ...]
    max_turns: int | None
    timeout: timedelta | None
    stall_timeout: timedelta | None
    linger: timedelta | None
    log_limit: int | None
    setting_source: tuple[str, ...]


class Work(Settings):
    """The values of `work`."""

    title: str
    task_list_id: str | None
    directory: Path | None
    subdirectory: str | None
    description: str
    subtask: tuple[str, ...]


_SETTINGS = (
    click.option("--agent", metavar="NAME", help="The agent: claude or command.  [default: claude; command with --]"),
    click.option("--model", metavar="NAME", help="The model, as the agent names it."),
    click.option(
        "--system-prompt",
        type=parameters.text,
        metavar="TEXT",
        help="Text that is added to the agent's system prompt. @FILE reads a file.",
    ),
    click.option(
        "--agent-file",
        metavar="PATH",
        help="A Markdown file that defines the agent; if it is not found from here, it is sought from the "
        "repository's top level.",
    ),
    click.option(
        "--schema",
        type=parameters.json_object_file,
        metavar="FILE",
        help="A file with the JSON Schema that the result must have.",
    ),
    click.option(
        "--permission-mode",
        metavar="MODE",
        help="What the agent may do unasked: default, acceptEdits, plan, dontAsk, auto or bypassPermissions.  "
        "[default: acceptEdits]",
    ),
    click.option(
        "--allow-tool",
        multiple=True,
        metavar="TOOL",
        help="A tool that the agent may use unasked, such as 'Bash(git *)'. May be repeated.",
    ),
    click.option("--max-turns", type=click.IntRange(min=1), metavar="N", help="The most turns of one run."),
    click.option(
        "--timeout",
        type=parameters.duration,
        metavar="TIME",
        help="The longest time of one run, such as 30m or 1h30m.",
    ),
    click.option(
        "--stall-timeout",
        type=parameters.duration,
        metavar="TIME",
        help="The longest silence of a run, while none of its tools is at work.",
    ),
    click.option(
        "--linger",
        type=parameters.duration,
        metavar="TIME",
        help="How long the agent's process may stay after its result.",
    ),
    click.option(
        "--log-limit",
        type=parameters.size,
        metavar="SIZE",
        help="The largest log of one run, such as 500M or 2G.",
    ),
    click.option(
        "--setting-source",
        multiple=True,
        type=click.Choice(("user", "project", "local", "none")),
        help="Settings that Claude Code reads: the server's user's, the repository's shared or local ones; none alone "
        "for no settings. May be repeated.  [default: all]",
    ),
)

_WORK = (
    click.argument("title"),
    click.option(
        "--list",
        "task_list_id",
        metavar="ID",
        help="The task list that the task belongs to.  [default: the newest of the repository]",
        shell_complete=completing.task_lists,
    ),
    click.option(
        "--dir",
        "directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="PATH",
        help="A directory in the repository to work on; its task list is made if there is none. Outside a "
        "repository the task works in an empty sandbox directory.  [default: this directory]",
    ),
    click.option(
        "--subdirectory",
        metavar="PATH",
        help="The directory in which the agent starts, from the repository's top; . is the top itself.  "
        "[default: that of --dir]",
    ),
    click.option(
        "--description",
        type=parameters.text,
        default="",
        metavar="TEXT",
        help="What is to be done, in Markdown. @FILE reads a file, - standard input.",
    ),
    click.option("--subtask", multiple=True, metavar="TEXT", help="A part of the task. May be repeated."),
)


@dataclass(frozen=True, slots=True)
class Changes:
    """Single fields of a RunConfig to set and to unset, where the server replaces all of it; false when none."""

    values: run_config_pb2.RunConfig
    fields: tuple[str, ...]

    @classmethod
    def of(cls, values: run_config_pb2.RunConfig, unset: Sequence[str]) -> Changes:
        """Returns the changes that set `values`, and unset the fields of the options named `unset`."""
        changed = (field.name for field, _ in values.ListFields())
        return cls(values, (*changed, *(FIELDS[name] for name in unset)))

    def __bool__(self) -> bool:
        return bool(self.fields)

    def merged(self, before: run_config_pb2.RunConfig) -> run_config_pb2.RunConfig:
        """Returns the settings with the changes made."""
        after = run_config_pb2.RunConfig()
        after.CopyFrom(before)
        for field in self.fields:
            after.ClearField(cast("Any", field))
        after.MergeFrom(self.values)
        return after


def run_settings(function: _Function) -> _Function:
    """Adds the options that say how an agent is run; their values are `Settings`."""
    return added(_SETTINGS, function)


def work(function: _Function) -> _Function:
    """Adds the argument and options that describe a new task, run settings included; their values are `Work`."""
    return added(_WORK, run_settings(function))


def run_config(settings: Settings, command: list[str] | None) -> run_config_pb2.RunConfig:
    """Returns the configuration that was asked for; `command` holds the words after `--`, if there were any."""
    agent = settings["agent"]
    if command:
        if agent not in {None, "command"}:
            raise click.UsageError(f"The agent {agent!r} takes no words after --: only the agent 'command' does.")
        agent = "command"
    return taskgrove.run_config(
        agent=agent,
        model=settings["model"],
        system_prompt=settings["system_prompt"],
        agent_path=_agent_path(settings["agent_file"]),
        output_schema=settings["schema"],
        permission_mode=settings["permission_mode"],
        allowed_tools=settings["allow_tool"],
        max_turns=settings["max_turns"],
        run_timeout=settings["timeout"],
        stall_timeout=settings["stall_timeout"],
        linger=settings["linger"],
        log_limit=settings["log_limit"],
        setting_sources=settings["setting_source"],
        command=command,
    )


def _agent_path(path: str | None) -> str | None:
    # The server takes a relative path as one from the repository, a person means one from here.
    return str(Path(path).resolve()) if path is not None and Path(path).exists() else path


def added(options: tuple[Callable[[Any], Any], ...], function: _Function) -> _Function:
    """Returns a command with options added, which its help shows in this order."""
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return cast("_Function", decorated)
