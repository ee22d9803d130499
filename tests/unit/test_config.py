from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest

from taskgrove_server.domain import config
from taskgrove_server.domain.config import Command, RunConfig

TASK = RunConfig(
    agent="command",
    model="task-model",
    system_prompt="task",
    agent_path="/task.md",
    output_schema="{}",
    permission_mode="plan",
    allowed_tools=("Read",),
    max_turns=1,
    run_timeout=timedelta(minutes=1),
    command=Command(shell="task"),
    stall_timeout=timedelta(minutes=3),
    linger=timedelta(seconds=3),
    log_limit=3 << 20,
    setting_sources=("user",),
)
TASK_LIST = RunConfig(
    agent="claude",
    model="list-model",
    system_prompt="list",
    agent_path="/list.md",
    output_schema='{"type": "object"}',
    permission_mode="acceptEdits",
    allowed_tools=("Write",),
    max_turns=2,
    run_timeout=timedelta(minutes=2),
    command=Command(shell="list"),
    stall_timeout=timedelta(minutes=4),
    linger=timedelta(seconds=4),
    log_limit=4 << 20,
    setting_sources=("none",),
)


@pytest.mark.parametrize("name", [field.name for field in fields(RunConfig)])
def test_each_field_comes_from_the_task_else_from_the_list(name: str) -> None:
    assert getattr(config.resolve(TASK, TASK_LIST), name) == getattr(TASK, name)
    assert getattr(config.resolve(RunConfig(), TASK_LIST), name) == getattr(TASK_LIST, name)


def test_the_defaults_fill_what_neither_names() -> None:
    resolved = config.resolve(RunConfig(), RunConfig())
    assert resolved == RunConfig(agent="claude", permission_mode="acceptEdits")
