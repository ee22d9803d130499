"""How an agent is run: what a task asks for, what its list asks for, and the defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta

#: The agent of a task that names none.
DEFAULT_AGENT = "claude"

#: The model of a run when neither task, list nor agent definition names one.
DEFAULT_MODEL = "claude-sonnet-4-6"

#: Lets an unattended agent edit files in its worktree and nothing else.
DEFAULT_PERMISSION_MODE = "acceptEdits"


#: The setting source that stands for no source at all, as an empty list means that nothing is asked for.
NO_SETTINGS = "none"


@dataclass(frozen=True, slots=True)
class Command:
    """A program for the command agent: either `argv` or `shell` is set."""

    argv: tuple[str, ...] = ()
    shell: str | None = None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Settings of runs, each unset (None or empty) where nothing is asked for; fields as in run_config.proto."""

    agent: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    agent_path: str | None = None
    output_schema: str | None = None
    permission_mode: str | None = None
    allowed_tools: tuple[str, ...] = ()
    max_turns: int | None = None
    run_timeout: timedelta | None = None
    command: Command | None = None
    stall_timeout: timedelta | None = None
    linger: timedelta | None = None
    #: In bytes.
    log_limit: int | None = None
    setting_sources: tuple[str, ...] = ()


def resolve(task: RunConfig, task_list: RunConfig) -> RunConfig:
    """Returns the task's value of each field, else the list's, else the default.

    `model` stays None when neither asks for one, because an agent definition comes before DEFAULT_MODEL.
    `run_timeout`, `stall_timeout`, `linger` and `log_limit` stay None too: their defaults are settings of the server.
    """
    values = {field.name: getattr(task, field.name) or getattr(task_list, field.name) for field in fields(RunConfig)}
    values["agent"] = values["agent"] or DEFAULT_AGENT
    values["permission_mode"] = values["permission_mode"] or DEFAULT_PERMISSION_MODE
    return RunConfig(**values)
