from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest

from taskgrove import requests
from taskgrove.v1.run_config_pb2 import Argv, Command, RunConfig
from taskgrove.v1.task_pb2 import Subtask


def test_a_run_config_takes_plain_values() -> None:
    schema = {"type": "object"}
    config = requests.run_config(
        agent="claude",
        model="m",
        system_prompt="Be brief.",
        agent_path=Path("agents/reviewer.md"),
        output_schema=schema,
        permission_mode="plan",
        allowed_tools=["Read", "Bash(git *)"],
        max_turns=3,
        run_timeout=timedelta(minutes=1.5),
        stall_timeout=timedelta(minutes=2),
        linger=timedelta(seconds=3),
        log_limit=1 << 30,
        command=["make", "test"],
        setting_sources=["user", "project"],
    )
    assert json.loads(config.output_schema) == schema
    assert (config.run_timeout.seconds, config.stall_timeout.seconds, config.linger.seconds) == (90, 120, 3)
    assert config.command == Command(argv=Argv(values=["make", "test"]))
    config.ClearField("output_schema")
    config.ClearField("run_timeout")
    config.ClearField("stall_timeout")
    config.ClearField("linger")
    config.ClearField("command")
    assert config == RunConfig(
        agent="claude",
        model="m",
        system_prompt="Be brief.",
        agent_path="agents/reviewer.md",
        permission_mode="plan",
        allowed_tools=["Read", "Bash(git *)"],
        max_turns=3,
        log_limit=1 << 30,
        setting_sources=["user", "project"],
    )


def test_what_a_run_config_leaves_out_is_unset() -> None:
    assert not requests.run_config().ListFields()


def test_a_command_that_is_a_string_is_for_the_shell() -> None:
    assert requests.run_config(command="make | tee log").command == Command(shell="make | tee log")


def test_one_string_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="allowed_tools is a list"):
        requests.run_config(allowed_tools="Read")
    with pytest.raises(TypeError, match="setting_sources is a list"):
        requests.run_config(setting_sources="user")
    with pytest.raises(TypeError, match="subtasks is a list"):
        requests.enqueue("l", "t", description="", subtasks="one", overrides=None, request_id=None)


def test_subtasks_may_be_strings() -> None:
    done = Subtask(title="b", completed=True)
    request = requests.enqueue("l", "t", description="d", subtasks=["a", done], overrides=None, request_id=None)
    assert list(request.subtasks) == [Subtask(title="a"), done]
    assert not request.HasField("overrides")


def test_a_subdirectory_may_be_a_path() -> None:
    def sent(**place: Any) -> str:
        request = requests.enqueue("l", "t", description="", subtasks=(), overrides=None, request_id=None, **place)
        return request.subdirectory

    assert sent() == ""
    assert sent(subdirectory="packages/app") == "packages/app"
    assert sent(subdirectory=PurePosixPath("packages/app")) == "packages/app"
    assert sent(subdirectory=PureWindowsPath("packages/app")) == "packages/app"


def test_calls_that_change_something_get_a_request_id_of_their_own() -> None:
    made = [
        requests.create_task_list("t", None, None, None, None).request_id,
        requests.enqueue("l", "t", description="", subtasks=(), overrides=None, request_id=None).request_id,
        requests.continue_task("t", "p", None).request_id,
        requests.cancel("t", None).request_id,
        requests.cancel("t", None).request_id,
        requests.update_task_list("l", "t", None, None, None, None).request_id,
        requests.delete_task_list("l", None).request_id,
        requests.update_task(
            "t", title="t", description=None, subtasks=None, overrides=None, etag=None, request_id=None
        ).request_id,
        requests.update_subtask("t", 1, completed=True, etag=None, request_id=None).request_id,
        requests.delete_task("t", None, discard_worktree=False).request_id,
        requests.push_branch(
            "t", remote="origin", remote_branch=None, force=False, expected_head=None, request_id=None
        ).request_id,
        requests.discard_worktree("t", None, dry_run=False).request_id,
        requests.prune_worktrees(None, None, None, dry_run=False).request_id,
    ]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[a-zA-Z0-9._:-]{1,64}", request_id) for request_id in made)
    assert requests.cancel("t", "mine").request_id == "mine"


def test_an_update_sends_what_is_not_none() -> None:
    nothing = requests.update_task_list("l", None, None, None, None, None)
    assert not nothing.HasField("title")
    assert not nothing.HasField("defaults")
    emptied = requests.update_task_list("l", "", RunConfig(), None, None, None)
    assert emptied.HasField("title")
    assert emptied.HasField("defaults")
