"""The real Claude Code, end to end: queued over gRPC, run in its worktree, watched, continued and cancelled.

The model is a scripted API on loopback; HOME is scratch and the key a dummy.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import taskgrove
from support import claude_cli, repositories, tasks_gates
from support.model_api import ModelApi, Step
from support.server import RunningServer
from taskgrove import FailureKind, Hold, Run, RunConfig, Task, TaskList, run_config

KEY = "sk-test-acceptance"


@dataclass(frozen=True, slots=True)
class World:
    """A server whose Claude Code talks to a scripted API, and a list over a repository."""

    server: RunningServer
    client: taskgrove.Client
    api: ModelApi
    repository: Path
    project: TaskList

    def run(self, title: str, *steps: Step, task_list: TaskList | None = None, **settings: Any) -> Task:
        """Runs a task to its rest."""
        self.api.script(*steps, key=KEY)
        task = self.client.enqueue((task_list or self.project).id, title, overrides=run_config(**settings))
        return self.client.wait(task.id)

    def requests(self) -> list[dict[str, Any]]:
        """Returns what the model was asked, without the CLI's side questions."""
        return [body for body in self.api.requests(KEY) if body.get("tools")]

    def runs(self, task: Task) -> list[Run]:
        """Returns the runs of a task."""
        return list(self.client.list_runs(task.id))


@pytest.fixture
def world(repository: Path) -> Iterator[World]:
    with ModelApi() as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1"}
        flags = ("--claude", claude_cli.executable(), "--retry-pause", "0.1")
        with RunningServer(*flags, environment=environment) as server, server.client() as client:
            defaults = run_config(agent="claude", permission_mode="bypassPermissions")
            project = client.create_task_list("project", working_dir=str(repository), defaults=defaults)
            yield World(server, client, api, repository, project)


def said(body: dict[str, Any]) -> str:
    """Returns all messages of a request as text."""
    return json.dumps(body["messages"], ensure_ascii=False)


def system_prompt(body: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in body["system"])


def write(path: str, content: str) -> Step:
    return Step(tool="Write", input={"file_path": path, "content": content})


def test_an_edit_is_committed_on_the_tasks_own_branch(world: World) -> None:
    before = repositories.git(world.repository, "rev-parse", "HEAD")
    edit = Step(tool="Bash", input={"command": "echo more >> README.md"})
    task = world.run("Add more", edit, Step(say="I added more."))
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert task.result == "I added more."
    assert task.worktree.base_commit == before
    shown = repositories.git(world.repository, "show", "--format=%an%n%s", task.worktree.branch)
    assert shown.startswith("Taskgrove\nAdd more\n")
    assert "+more" in shown
    assert repositories.git(world.repository, "rev-parse", "HEAD") == before
    assert repositories.git(world.repository, "status", "--porcelain") == ""
    (run,) = world.runs(task)
    assert (run.state, run.exit_code, run.agent, run.model) == (
        Run.STATE_SUCCEEDED,
        0,
        "claude",
        "claude-sonnet-4-6",
    )
    assert (run.input_tokens, run.output_tokens, run.turns) == (200, 20, 2)
    assert run.cost_usd > 0


def test_the_lines_arrive_as_claude_wrote_them_and_while_it_works(world: World) -> None:
    gate = world.server.root / "gate"
    command = f"until [ -e {gate} ]; do perl -e 'select(undef, undef, undef, .05)'; done"
    world.api.script(Step(tool="Bash", input={"command": command}), Step(say="Through."), key=KEY)
    task = world.client.enqueue(world.project.id, "Wait")
    lines: list[taskgrove.Line] = []
    for line in world.client.lines(task.id):
        lines.append(line)
        if line.json().get("type") == "assistant" and not gate.exists():
            # Seen before the tool has ended: it waits for this file.
            gate.touch()
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1].json()["type"] == "result"
    (run,) = world.runs(task)
    assert b"".join(line.data for line in lines) == Path(run.log_path).read_bytes()


def test_a_failure_is_retried_once_in_the_same_session(world: World) -> None:
    # Claude Code by itself asks six times, with less and less in the request, before it gives up after a 400.
    broken = Step(status=400, error="invalid_request_error", message="the widget is upside down", repeat=6)
    task = world.run("Turn the widget", broken, write("widget.txt", "up"), Step(say="Turned."))
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    first, second = world.runs(task)
    assert (first.state, first.is_retry, first.failure.kind) == (
        Run.STATE_FAILED,
        False,
        FailureKind.FAILURE_KIND_AGENT,
    )
    assert (second.state, second.is_retry, second.session_id) == (Run.STATE_SUCCEEDED, True, first.session_id)
    assert second.prompt == (
        f"The previous attempt failed with:\n\n{first.failure.message}\n\nTry again and fix the issues."
    )
    assert "the widget is upside down" in second.prompt
    last = said(world.requests()[-1])
    assert "Turn the widget" in last
    assert "Try again and fix the issues." in last
    assert second.first_line == first.line_count + 1


def test_a_refused_key_is_held_and_is_the_failure_of_no_task(world: World) -> None:
    started = time.monotonic()
    world.api.script(Step(status=401, error="authentication_error", message="invalid x-api-key", repeat=None), key=KEY)
    task_id = world.client.enqueue(world.project.id, "Anything").id
    (hold,) = tasks_gates.until(lambda: world.client.get_server_info().holds, "a hold", patience=60)
    # Left alone, Claude Code tries a refused key for three minutes.
    assert time.monotonic() - started < 60
    assert (hold.kind, hold.subject) == (Hold.KIND_AGENT, "claude")
    assert hold.failure_kind == FailureKind.FAILURE_KIND_AUTH
    assert "ANTHROPIC_API_KEY" in hold.reason
    (run,) = itertools.islice(world.client.list_runs(task_id), 1)
    assert (run.state, run.failure.kind, run.failure.http_status) == (
        Run.STATE_FAILED,
        FailureKind.FAILURE_KIND_AUTH,
        401,
    )
    assert not run.failure.retryable
    world.client.cancel(task_id)
    assert world.client.wait(task_id).state == Task.STATE_CANCELLED


def test_an_unknown_model_is_not_retried(world: World) -> None:
    missing = Step(status=404, error="not_found_error", message="model: no-such-model", repeat=None)
    task = world.run("Anything", missing, model="no-such-model")
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_MODEL_NOT_FOUND)
    (run,) = world.runs(task)
    assert run.model == "no-such-model"
    assert world.requests()[0]["model"] == "no-such-model"


def test_an_overloaded_api_is_outwaited_within_the_run(world: World) -> None:
    overloaded = Step(status=529, error="overloaded_error", message="Overloaded")
    task = world.run("Anything", overloaded, Step(say="Done after all."))
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Done after all.")
    assert len(world.runs(task)) == 1


def test_structured_output_follows_the_schema(world: World) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    task = world.run("Count", Step(tool="StructuredOutput", input={"n": 7}), output_schema=schema)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    (run,) = world.runs(task)
    assert json.loads(run.structured_output) == {"n": 7}


def test_missing_structured_output_is_asked_for_again_and_then_a_failure(world: World) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    task = world.run("Count", Step(say="seven", repeat=None), output_schema=schema)
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_OUTPUT_MISSING)
    assert [run.is_retry for run in world.runs(task)] == [False, True]


def test_an_agent_definition_really_takes_effect(world: World) -> None:
    front_matter = "name: reviewer\ndescription: Reviews\ntools: Read, Grep\nmodel: claude-opus-4-8\n"
    definition = f"---\n{front_matter}---\nYou are a heron.\n"
    (world.repository / "reviewer.md").write_text(definition)
    task = world.run("Look", Step(say="I looked."), agent_path="reviewer.md")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    body = world.requests()[0]
    assert "You are a heron." in system_prompt(body)
    # What stands for tools that are loaded later is there in any case.
    assert {tool["name"] for tool in body["tools"]} - {"DeferredToolPlaceholder"} == {"Read", "Grep"}
    assert body["model"] == "claude-opus-4-8"


def test_the_models_prompt_has_title_description_and_subtasks(world: World) -> None:
    world.api.script(Step(say="ok"), key=KEY)
    subtasks = [taskgrove.Subtask(title="find it", completed=True), taskgrove.Subtask(title="mend it")]
    task = world.client.enqueue(
        world.project.id,
        "Mend the «login»",
        description="  It is broken.\n",
        subtasks=subtasks,
        overrides=run_config(system_prompt="Speak like a gardener."),
    )
    world.client.wait(task.id)
    prompt = "Mend the «login»\n\nIt is broken.\n\n## Sub-Tasks\n- [x] find it\n- [ ] mend it\n"
    (run,) = world.runs(task)
    assert run.prompt == prompt
    assert json.dumps(prompt, ensure_ascii=False)[1:-3] in said(world.requests()[0])
    assert "Speak like a gardener." in system_prompt(world.requests()[0])


def test_a_continue_goes_on_in_the_same_session_and_worktree(world: World) -> None:
    task = world.run("Remember the word heron", write("one.txt", "1"), Step(say="I will."))
    first_head = task.worktree.head_commit
    world.api.script(Step(tool="Bash", input={"command": "echo 2 > two.txt"}), Step(say="heron"), key=KEY)
    asked = len(world.requests())
    world.client.continue_task(task.id, "Which word was it?")
    task = world.client.wait(task.id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "heron")
    first, second = world.runs(task)
    assert (second.session_id, second.is_retry, second.prompt) == (first.session_id, False, "Which word was it?")
    body = said(world.requests()[asked])
    assert "Remember the word heron" in body
    assert "I will." in body
    assert "Which word was it?" in body
    assert repositories.git(world.repository, "rev-parse", f"{task.worktree.branch}~1") == first_head
    changed = repositories.git(world.repository, "diff", "--name-only", first_head, task.worktree.branch)
    assert changed == "two.txt"


def test_a_continue_after_the_worktree_was_deleted_finds_its_session(world: World) -> None:
    task = world.run("Remember the word heron", Step(say="I will."))
    repositories.git(world.repository, "worktree", "remove", "--force", "--force", task.worktree.path)
    asked = len(world.requests())
    world.api.script(Step(say="heron"), key=KEY)
    world.client.continue_task(task.id, "Which word was it?")
    again = world.client.wait(task.id)
    assert (again.state, again.worktree.path) == (Task.STATE_SUCCEEDED, task.worktree.path)
    assert "Remember the word heron" in said(world.requests()[asked])


def test_a_lost_session_is_replaced_by_a_new_one_that_knows_the_task(world: World) -> None:
    task = world.run("Remember the word heron", Step(say="I will."))
    for transcript in (world.server.home / ".claude" / "projects").rglob("*.jsonl"):
        transcript.unlink()
    asked = len(world.requests())
    world.api.script(Step(say="It was heron."), key=KEY)
    world.client.continue_task(task.id, "Which word was it?")
    task = world.client.wait(task.id)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    _, lost, fresh = world.runs(task)
    assert (lost.state, lost.failure.kind) == (Run.STATE_FAILED, FailureKind.FAILURE_KIND_SESSION_LOST)
    assert (fresh.is_retry, fresh.prompt) == (True, "Remember the word heron\n\nWhich word was it?")
    assert fresh.session_id != lost.session_id
    assert "Remember the word heron" in said(world.requests()[asked])


def test_a_cancel_during_a_tool_call_leaves_nothing_behind(world: World) -> None:
    pids = world.server.root / "pids"
    stubborn = f"trap '' TERM INT HUP; echo $$ >> {pids}; while :; do perl -e 'sleep 1'; done"
    command = f'setsid sh -c "{stubborn.replace("$", chr(92) + "$")}" & echo $$ >> {pids}; perl -e "sleep 600"'
    world.api.script(Step(tool="Bash", input={"command": command}), Step(say="never"), key=KEY)
    task = world.client.enqueue(world.project.id, "Hang")
    deadline = time.monotonic() + 60
    while not pids.exists() or len(pids.read_text().split()) < 2:
        assert time.monotonic() < deadline, "the tool was not started"
        time.sleep(0.05)
    response = world.client.cancel(task.id)
    assert response.outcome == taskgrove.CancelResponse.OUTCOME_STOPPING
    task = world.client.wait(task.id)
    assert task.state == Task.STATE_CANCELLED
    assert not task.HasField("failure")
    assert not [pid for pid in pids.read_text().split() if Path("/proc", pid).exists()]
    assert world.server.run_processes() == []
    (run,) = world.runs(task)
    assert (run.state, run.exit_code) == (Run.STATE_CANCELLED, -1)
    assert run.session_id

    # The session is still good for more.
    world.api.script(Step(say="going on"), key=KEY)
    world.client.continue_task(task.id, "Do without that command.")
    task = world.client.wait(task.id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "going on")


def test_a_task_without_a_repository_works_in_a_sandbox(world: World) -> None:
    sandboxes = world.client.create_task_list("sandbox", defaults=RunConfig(permission_mode="bypassPermissions"))
    command = Step(tool="Bash", input={"command": "pwd > where.txt; ls -A >> where.txt"})
    task = world.run("Look around", command, Step(say="done"), task_list=sandboxes)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert not task.HasField("worktree")
    where = Path(task.directory, "where.txt").read_text().splitlines()
    assert where == [task.directory, "where.txt"]


def test_denied_permissions_are_reported_and_fail_nothing(world: World) -> None:
    command = Step(tool="Bash", input={"command": "curl http://127.0.0.1:9/"})
    task = world.run("Fetch it", command, Step(say="I was not allowed."), permission_mode="dontAsk")
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "I was not allowed.")
    (run,) = world.runs(task)
    assert list(run.permission_denials) == ["Bash: curl http://127.0.0.1:9/"]


def test_a_program_that_is_missing_is_said_so(repository: Path) -> None:
    with RunningServer("--claude", "/nowhere/claude") as server, server.client() as client:
        project = client.create_task_list("project", working_dir=str(repository))
        task_id = client.enqueue(project.id, "Anything").id
        (hold,) = tasks_gates.until(lambda: client.get_server_info().holds, "a hold")
        assert hold.failure_kind == FailureKind.FAILURE_KIND_AGENT_NOT_FOUND
        assert "/nowhere/claude" in hold.reason
        assert client.get_task(task_id).state == Task.STATE_QUEUED
        # Nothing was run, and nothing is left behind.
        assert list(client.list_runs(task_id)) == []
        assert repositories.worktree_paths(repository) == []


def test_the_agent_gets_an_allow_listed_environment(world: World) -> None:
    with (
        RunningServer(
            "--claude",
            claude_cli.executable(),
            "--pass-environment",
            "WANTED_*",
            environment={
                "ANTHROPIC_BASE_URL": world.api.url,
                "ANTHROPIC_API_KEY": KEY,
                "IS_SANDBOX": "1",
                "SECRET_OF_THE_SERVER": "s3cret",
                "WANTED_HERE": "yes",
                "CLAUDECODE": "1",
            },
        ) as server,
        server.client() as client,
    ):
        project = client.create_task_list("project", defaults=run_config(permission_mode="bypassPermissions"))
        world.api.script(Step(tool="Bash", input={"command": "env > env.txt"}), Step(say="ok"), key=KEY)
        task = client.wait(client.enqueue(project.id, "Look").id)
        assert task.state == Task.STATE_SUCCEEDED, task.failure
        seen = Path(task.directory, "env.txt").read_text()
        assert "s3cret" not in seen
        assert "WANTED_HERE=yes" in seen
        assert "TASKGROVE_RUN_ID=" in seen
        assert "s3cret" not in server.log.read_text()
        assert KEY not in server.log.read_text()


def test_a_task_of_a_subdirectory_works_on_all_of_its_worktree_and_is_continued_there(world: World) -> None:
    repositories.commit(world.repository, {"packages/app/CLAUDE.md": "Speak like a beekeeper.\n"}, "App")
    overrides = run_config(permission_mode="acceptEdits")
    world.api.script(Step(say="I looked."), key=KEY)
    task = world.client.enqueue(world.project.id, "Look", overrides=overrides, subdirectory="packages/app")
    task = world.client.wait(task.id)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    tree = Path(task.worktree.path)
    assert task.directory == str(tree / "packages/app")
    body = world.requests()[0]
    # What is said of the directory in which the agent starts holds for it.
    assert "Speak like a beekeeper." in said(body)
    assert str(tree / "packages/app") in json.dumps(body)
    edits = [write(str(tree / "packages/app/here.txt"), "x"), write(str(tree / "shared/there.txt"), "x")]
    world.api.script(*edits, Step(say="Written."), key=KEY)
    world.client.continue_task(task.id, "Write two files.")
    again = world.client.wait(task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    first, second = world.runs(again)
    assert second.session_id == first.session_id
    assert list(second.permission_denials) == []
    committed = repositories.git(world.repository, "ls-tree", "-r", "--name-only", again.worktree.branch)
    assert {"packages/app/here.txt", "shared/there.txt"} < set(committed.splitlines())
