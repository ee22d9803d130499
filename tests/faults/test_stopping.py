"""When a task rests, no process of its runs is left, however hard they make it."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import claude_cli, tasks_following, tasks_gates, tasks_processes, tasks_trees, tasks_work
from support.model_api import ModelApi, Step
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_trees import Roll, Tree
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

pytestmark = pytest.mark.timeout(300)

KEY = "sk-test-stopping"


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    """Tells whether a process of the run is left."""
    return Roll(tmp_path / "roll")


def begin(client: taskgrove.Client, tree: Tree, roll: Roll) -> Follower:
    task_list = tasks_work.make_list(client, roll.call(tree))
    return Follower(client, client.enqueue(task_list.id, "Do it").id)


def wait_for_pids(follower: Follower, tree: Tree) -> list[int]:
    """Waits until all of the tree is up, and returns the process ids that it tells."""
    follower.wait_for(lambda events: len(tasks_following.texts(events)) == tree.pids, f"{tree.pids} process ids")
    return [int(text) for text in tasks_following.texts(follower.events)]


def check_ended(
    server: RunningServer, client: taskgrove.Client, task: Task, pids: list[int], state: Task.State, roll: Roll
) -> None:
    """Checks how the task and its run ended, and that nothing is left of them, at once."""
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    assert roll.is_empty()
    assert server.run_processes() == []
    assert tasks_processes.supervisors(server) == []
    assert task.state == state, task.failure
    (run,) = tasks_work.runs(client, task)
    assert run.state == (Run.STATE_CANCELLED if state == Task.STATE_CANCELLED else Run.STATE_SUCCEEDED)
    assert run.HasField("finish_time")
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("tree", tasks_trees.TREES, ids=lambda tree: tree.name)
def test_a_cancel_leaves_nothing(server: RunningServer, client: taskgrove.Client, tree: Tree, roll: Roll) -> None:
    with begin(client, tree, roll) as follower:
        pids = wait_for_pids(follower, tree)
        assert not roll.is_empty()
        assert client.cancel(follower.task_id).outcome == taskgrove.CancelResponse.OUTCOME_STOPPING
        task = follower.rested()
    check_ended(server, client, task, pids, Task.STATE_CANCELLED, roll)


@pytest.mark.parametrize("tree", tasks_trees.LEFT_BEHIND, ids=lambda tree: tree.name)
def test_a_success_leaves_nothing(server: RunningServer, client: taskgrove.Client, tree: Tree, roll: Roll) -> None:
    with begin(client, tree, roll) as follower:
        task = follower.rested()
    # The agent may have been through before the last of them could tell its id.
    pids = [int(text) for text in tasks_following.texts(follower.events)]
    check_ended(server, client, task, pids, Task.STATE_SUCCEEDED, roll)


@pytest.mark.parametrize("tree", [tasks_trees.SESSIONS, tasks_trees.IGNORING_CHILDREN], ids=lambda tree: tree.name)
def test_a_cancel_after_the_supervisor_was_killed(
    server: RunningServer, client: taskgrove.Client, tree: Tree, roll: Roll
) -> None:
    with begin(client, tree, roll) as follower:
        pids = wait_for_pids(follower, tree)
        (supervisor,) = tasks_processes.supervisors(server)
        os.kill(supervisor, signal.SIGKILL)
        outcome = client.cancel(follower.task_id).outcome
        task = follower.rested()
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    assert roll.is_empty()
    assert server.run_processes() == []
    # The server ends what is left by itself, and may be through with it. A cancel that it took is a cancel.
    (run,) = tasks_work.runs(client, task)
    if outcome == taskgrove.CancelResponse.OUTCOME_STOPPING:
        assert task.state == Task.STATE_CANCELLED
        # It may have come in the moment between the end of the run and the rest of the task.
        assert run.state == Run.STATE_CANCELLED or run.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERRUPTED
    else:
        assert outcome == taskgrove.CancelResponse.OUTCOME_ALREADY_RESTED
        assert (task.state, run.state) == (Task.STATE_FAILED, Run.STATE_FAILED)
        assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERRUPTED


@pytest.mark.parametrize("server_is", ["the one that started the run", "a later one"])
def test_a_cancel_while_the_supervisor_is_stopped(
    server: RunningServer, client: taskgrove.Client, roll: Roll, server_is: str
) -> None:
    tree = tasks_trees.SESSIONS
    with begin(client, tree, roll) as follower:
        pids = wait_for_pids(follower, tree)
        (supervisor,) = tasks_processes.supervisors(server)
        os.kill(supervisor, signal.SIGSTOP)
        tasks_gates.until(lambda: tasks_processes.is_stopped(supervisor), "the supervisor is stopped")
        if server_is == "a later one":
            server.kill()
            server.start()
        assert client.cancel(follower.task_id).outcome == taskgrove.CancelResponse.OUTCOME_STOPPING
        task = follower.rested()
    check_ended(server, client, task, pids, Task.STATE_CANCELLED, roll)


@pytest.fixture
def model() -> Iterator[ModelApi]:
    """What Claude Code takes for its model."""
    with ModelApi() as api:
        yield api


def test_a_cancel_ends_the_tools_of_claude_code(model: ModelApi, roll: Roll, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    trees = (tasks_trees.IGNORING_CHILDREN, tasks_trees.DAEMONS)
    scripts: list[str] = []
    for number, tree in enumerate(trees):
        # A script for each, as a command line within a command line within a prompt is hard to quote.
        script = tmp_path / f"tool-{number}"
        script.write_text("#!/bin/sh\nexec setsid " + shlex.join(roll.call(tree)) + f" >> {noted}\n")
        script.chmod(0o700)
        scripts.append(str(script))
    model.script(Step(tool="Bash", input={"command": f"{scripts[0]} & {scripts[1]}"}), Step(say="never"), key=KEY)
    environment = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1"}
    with (
        RunningServer("--claude", claude_cli.executable(), environment=environment) as server,
        server.client() as client,
    ):
        defaults = taskgrove.run_config(agent="claude", permission_mode="bypassPermissions")
        task_list = client.create_task_list("A list", defaults=defaults)
        task_id = client.enqueue(task_list.id, "Hang").id
        count = sum(tree.pids for tree in trees)
        tasks_gates.until(
            lambda: noted.exists() and len(noted.read_text().splitlines()) == count,
            f"{count} process ids",
            patience=2 * tasks_gates.PATIENCE,
        )
        pids = [int(line) for line in noted.read_text().splitlines()]
        assert client.cancel(task_id).outcome == taskgrove.CancelResponse.OUTCOME_STOPPING
        task = tasks_work.rest(client, task_id)
        check_ended(server, client, task, pids, Task.STATE_CANCELLED, roll)
