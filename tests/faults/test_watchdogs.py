"""Runs that are silent, that take too long, or that do not end, are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import claude_cli, tasks_following, tasks_gates, tasks_processes, tasks_work
from support.model_api import ModelApi, Step
from support.server import RunningServer
from support.tasks_following import Follower
from taskgrove import FailureKind, Run, Task, run_config

#: Silence that ends a run, and silence that does not; an hour is more than any machine takes.
SHORT, LONG = timedelta(seconds=1), timedelta(hours=1)

#: Prints the id of a process in a session of its own, and then nothing any more.
SILENT = "setsid sleep 1000 & echo $!; exec sleep 1000"

#: Stands in for Claude Code: gives its result at once, and then does not end.
LINGERING = """#!/bin/sh
read -r prompt
echo '{"type":"system","subtype":"init"}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"Done."}'
trap '' INT TERM
echo $$ > pid
while :; do sleep 1; done
"""


def check_stalled(client: taskgrove.Client, follower: Follower, *, count: int = 1) -> Run:
    """Checks that a task has failed because its runs were silent, and that nothing is left of them."""
    task = follower.rested()
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_STALLED)
    assert task.failure.retryable
    runs = tasks_work.runs(client, task)
    assert [run.state for run in runs] == [Run.STATE_FAILED] * count
    assert tasks_processes.of_runs(runs) == []
    return runs[0]


@pytest.mark.parametrize("where", ["server", "list", "task"])
def test_a_silent_run_is_stopped(where: str) -> None:
    short = {where: SHORT}
    flags = ("--stall-timeout", str((SHORT if where == "server" else LONG).total_seconds()))
    with RunningServer(*flags) as server, server.client() as client:
        defaults = tasks_work.shell(SILENT, stall_timeout=short.get("list", LONG if where == "task" else None))
        task_list = client.create_task_list("A list", defaults=defaults)
        overrides = run_config(stall_timeout=short.get("task"))
        with Follower(client, client.enqueue(task_list.id, "Do it", overrides=overrides).id) as follower:
            run = check_stalled(client, follower)
        assert run.finish_time.ToDatetime() - run.start_time.ToDatetime() >= SHORT
        (child,) = tasks_following.texts(follower.events)
        assert not tasks_processes.is_alive(int(child))


def test_a_run_that_prints_now_and_then_is_left_alone(client: taskgrove.Client) -> None:
    # For longer in all than it may be silent.
    command = "i=0; while [ $i -lt 20 ]; do echo $i; sleep 0.3; i=$((i+1)); done"
    defaults = tasks_work.shell(command, stall_timeout=timedelta(seconds=5))
    task_list = client.create_task_list("A list", defaults=defaults)
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id).state == Task.STATE_SUCCEEDED


def test_an_agent_that_was_frozen_is_stopped(client: taskgrove.Client) -> None:
    talkative = tasks_work.shell("while :; do echo; sleep 0.1; done", stall_timeout=timedelta(seconds=2))
    task_list = client.create_task_list("A list", defaults=talkative)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for_text("")
        for pid in tasks_processes.of_runs(client.list_runs(follower.task_id)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        check_stalled(client, follower)


def test_silence_goes_on_when_the_server_is_started_again(server: RunningServer, client: taskgrove.Client) -> None:
    defaults = tasks_work.shell(SILENT, stall_timeout=timedelta(seconds=2))
    task_list = client.create_task_list("A list", defaults=defaults)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for(tasks_following.texts, "a process id")
        server.kill()
        # What the list says now is for runs to come.
        server.start()
        client.update_task_list(task_list.id, defaults=tasks_work.shell(SILENT, stall_timeout=LONG))
        check_stalled(client, follower)


def test_a_run_that_was_started_before_the_list_changed_keeps_its_limits(
    server: RunningServer, client: taskgrove.Client
) -> None:
    task_list = client.create_task_list("A list", defaults=tasks_work.shell(SILENT, stall_timeout=LONG))
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for(tasks_following.texts, "a process id")
        client.update_task_list(task_list.id, defaults=tasks_work.shell(SILENT, stall_timeout=SHORT))
        server.kill()
        server.start()
        # It is taken up, and would be stopped at once.
        tasks_gates.until(lambda: "is taken up" in server.log.read_text(), "the run is taken up")
        with Follower(client, client.enqueue(task_list.id, "Next").id) as other:
            check_stalled(client, other)
        assert client.get_task(follower.task_id).state == Task.STATE_RUNNING
        client.cancel(follower.task_id)
        assert follower.rested().state == Task.STATE_CANCELLED


@pytest.mark.parametrize("where", ["server", "list", "task"])
def test_an_agent_that_stays_after_its_result_is_ended_and_has_succeeded(tmp_path: Path, where: str) -> None:
    program = tmp_path / "claude"
    program.write_text(LINGERING)
    program.chmod(0o700)
    short = {where: SHORT}
    flags = ("--linger", str((SHORT if where == "server" else LONG).total_seconds()))
    graces = ("--interrupt-grace", "0.1", "--sigint-grace", "0.1", "--sigterm-grace", "0.1")
    with RunningServer("--claude", str(program), *flags, *graces) as server, server.client() as client:
        task_list = client.create_task_list("A list", defaults=run_config(linger=short.get("list")))
        task = client.enqueue(task_list.id, "Do it", overrides=run_config(linger=short.get("task")))
        task = tasks_work.rest(client, task.id)
        assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Done.")
        (run,) = tasks_work.runs(client, task)
        assert (run.state, run.exit_code) == (Run.STATE_SUCCEEDED, 137)
        assert not tasks_processes.is_alive(int(Path(task.directory, "pid").read_text()))


@pytest.fixture
def api() -> Iterator[ModelApi]:
    """What the real Claude Code talks to."""
    with ModelApi() as served:
        yield served


KEY = "sk-test-watchdogs"


@pytest.fixture
def claude(api: ModelApi) -> Iterator[taskgrove.Client]:
    """A client of a server with the real Claude Code."""
    environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1"}
    flags = ("--claude", claude_cli.executable(), "--retry-pause", "0.1")
    with RunningServer(*flags, environment=environment) as server, server.client() as client:
        yield client


def test_a_model_that_never_answers_stalls_the_run_which_is_resumed_once(
    api: ModelApi, claude: taskgrove.Client
) -> None:
    api.script(Step(hang=True, repeat=None), key=KEY)
    task_list = claude.create_task_list("A list", defaults=run_config(stall_timeout=timedelta(seconds=5)))
    with Follower(claude, claude.enqueue(task_list.id, "Do it").id) as follower:
        check_stalled(claude, follower, count=2)
    first, second = claude.list_runs(follower.task_id)
    assert second.is_retry
    assert second.session_id == first.session_id


def test_a_tool_may_be_silent_for_longer(api: ModelApi, claude: taskgrove.Client) -> None:
    stall_timeout = timedelta(seconds=5)
    silent = Step(tool="Bash", input={"command": "perl -e 'sleep 8'"})
    api.script(silent, Step(say="Slept."), key=KEY)
    defaults = run_config(permission_mode="bypassPermissions", stall_timeout=stall_timeout)
    task_list = claude.create_task_list("A list", defaults=defaults)
    task = tasks_work.rest(claude, claude.enqueue(task_list.id, "Sleep").id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Slept.")
    (run,) = claude.list_runs(task.id)
    assert run.finish_time.ToDatetime() - run.start_time.ToDatetime() > stall_timeout
