"""What people, repositories and programs write to or for an agent is taken for what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskgrove
from support import claude_cli, repositories, tasks_work
from support.model_api import ModelApi, Step
from support.server import RunningServer
from taskgrove import FailureKind, Run, Task, run_config

KEY = "sk-test-words"

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

#: Stands in for Claude Code: makes a file and says what follows.
STAND_IN = """#!/bin/sh
read -r prompt
echo x >> made.txt
echo '{"type":"system","subtype":"init","session_id":"0b0e7f0e-6a3c-4f0c-9a52-3d4a5b8f6a11"}'
"""

RESULT = (
    '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Done.","usage":{"output_tokens":5}}'
)


@dataclass(frozen=True, slots=True)
class World:
    """A server whose Claude Code talks to a scripted API, and a list over a repository."""

    client: taskgrove.Client
    api: ModelApi
    repository: Path
    task_list_id: str

    def rest(self, task_id: str) -> Task:
        """Returns a task at its rest."""
        return self.client.wait(task_id)

    def asked(self) -> list[str]:
        """Returns what each request to the model says."""
        return [json.dumps(body["messages"]) for body in self.api.requests(KEY) if body.get("tools")]


@pytest.fixture
def world(repository: Path) -> Iterator[World]:
    with ModelApi() as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1"}
        flags = ("--claude", claude_cli.executable(), "--retry-pause", "0.1")
        with RunningServer(*flags, environment=environment) as server, server.client() as client:
            defaults = run_config(permission_mode="bypassPermissions")
            task_list = client.create_task_list("A list", working_dir=str(repository), defaults=defaults)
            yield World(client, api, repository, task_list.id)


@pytest.mark.parametrize("title", ["/clear the cache on logout", "/compact", "/exit", "/x the login"])
def test_what_people_write_is_never_a_command(world: World, title: str) -> None:
    command = {".claude/commands/x.md": "---\ndescription: d\n---\nHIDDEN WORK $ARGUMENTS\n"}
    repositories.commit(world.repository, command, "A command")
    world.api.script(Step(say="I did."), Step(say="Once more."), key=KEY)
    task = world.client.enqueue(world.task_list_id, title, description="/model opus")
    task = world.rest(task.id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "I did.")
    world.client.continue_task(task.id, title)
    task = world.rest(task.id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Once more.")
    first, second = world.asked()
    assert f"{title}\\n\\n/model opus" in first
    assert second.count(title) == 2
    assert "HIDDEN WORK" not in second


def test_a_tool_call_that_a_hook_puts_off_blocks_the_task(world: World) -> None:
    answer = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "defer"}}
    command = f"echo '{json.dumps(answer)}'"
    hooks = {"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": command}]}]}}
    repositories.commit(world.repository, {".claude/settings.json": json.dumps(hooks)}, "A hook")
    step = Step(tool="Bash", input={"command": "deploy --now"}, repeat=None)
    world.api.script(step, key=KEY)
    task = world.rest(world.client.enqueue(world.task_list_id, "Deploy").id)
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_BLOCKED)
    assert "Bash: deploy --now" in task.failure.message
    assert len(tasks_work.runs(world.client, task)) == 1
    # A task can do without the repository's settings.
    world.api.script(Step(say="Done without."), key=KEY)
    overrides = run_config(setting_sources=["user"])
    task = world.rest(world.client.enqueue(world.task_list_id, "Deploy", overrides=overrides).id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Done without.")


def test_an_output_of_another_shape_fails_and_is_mended_by_the_retry(repository: Path, tmp_path: Path) -> None:
    # Claude Code holds outputs against schemas too; a release that takes one for another must not decide.
    program = tmp_path / "claude"
    wrong, right = ({**json.loads(RESULT), "structured_output": {"n": n}} for n in ("seven", 7))
    program.write_text(
        f"{STAND_IN}case $prompt in *'not of type'*) echo '{json.dumps(right)}';; *)"
        f""" echo '{json.dumps(wrong)}';; esac\n""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    with RunningServer("--claude", str(program)) as server, server.client() as client:
        task_list = client.create_task_list("A list", working_dir=str(repository))
        overrides = run_config(output_schema=SCHEMA)
        task = client.wait(client.enqueue(task_list.id, "Count", overrides=overrides).id)
        assert task.state == Task.STATE_SUCCEEDED, task.failure
        first, second = tasks_work.runs(client, task)
        assert (first.failure.kind, second.is_retry) == (FailureKind.FAILURE_KIND_OUTPUT_MISSING, True)
        assert "$.n: 'seven' is not of type 'integer'" in first.failure.message
        assert not first.structured_output
        assert json.loads(second.structured_output) == {"n": 7}


@pytest.mark.parametrize(("printed", "succeeds"), [('{"n": 7}', True), ('{"n": "seven"}', False), ("{}", False)])
def test_a_commands_output_has_the_shape_that_was_asked_for(printed: str, *, succeeds: bool) -> None:
    with RunningServer() as server, server.client() as client:
        task_list = client.create_task_list("A list", defaults=tasks_work.shell(f"echo '{printed}'"))
        overrides = run_config(output_schema=SCHEMA)
        task = client.wait(client.enqueue(task_list.id, "Count", overrides=overrides).id)
        (run,) = tasks_work.runs(client, task)
        assert (run.state == Run.STATE_SUCCEEDED) == succeeds
        if not succeeds:
            assert task.failure.kind == FailureKind.FAILURE_KIND_OUTPUT_MISSING
            assert "$" in task.failure.message


@pytest.mark.parametrize(
    "line",
    [
        f"printf 'Loading {{config}}: '; echo '{RESULT}'",
        f"printf '\\033[0m'; printf '%s' '{RESULT}'; printf '\\033[0m\\r\\n'",
        f"""printf '{{"type":"assistant","message":{{"content":[]}}}}'; echo '{RESULT}'""",
        f"printf '\\000\\000'; printf '%s' '{RESULT}'",
        f"""printf '%s' '{RESULT[:-1]},"filler":"'; head -c 20000000 /dev/zero | tr '\\000' x; echo '"}}'""",
    ],
    ids=["banner", "escapes", "two", "nul", "large"],
)
def test_a_result_that_something_is_glued_to_counts(repository: Path, tmp_path: Path, line: str) -> None:
    program = tmp_path / "claude"
    program.write_text(STAND_IN + line + "\n", encoding="utf-8")
    program.chmod(0o755)
    with RunningServer("--claude", str(program)) as server, server.client() as client:
        task_list = client.create_task_list("A list", working_dir=str(repository))
        task = client.wait(client.enqueue(task_list.id, "Make it").id)
        assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Done."), task.failure
        assert len(tasks_work.runs(client, task)) == 1
        assert repositories.git(repository, "show", f"{task.worktree.branch}:made.txt") == "x"
