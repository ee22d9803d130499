"""A run that prints without end is stopped at a limit, and takes nothing with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import taskgrove
from support import tasks_following, tasks_gates, tasks_processes, tasks_work
from support.cli_shell import Shell
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove import FailureKind, Run, Task, run_config

MIB = 1 << 20

#: Stands in for Claude Code: gives its result, if it has one, and goes on to print.
FLOOD = """#!/bin/sh
read -r prompt
echo '{"type":"system","subtype":"init"}'
RESULT
yes '{"type":"noise"}'
"""


def check_limited(client: taskgrove.Client, task: Task, *, limit: int = MIB) -> Run:
    """Checks that a task's only run was ended at its limit, with nothing of it left but its log."""
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_LOG_LIMIT)
    assert f"{limit // MIB} MiB" in task.failure.message
    assert "log_limit" in task.failure.message
    assert not task.failure.retryable
    (run,) = tasks_work.runs(client, task)
    assert run.failure.kind == FailureKind.FAILURE_KIND_LOG_LIMIT
    assert limit * 0.9 < Path(run.log_path).stat().st_size <= limit
    assert tasks_processes.of_runs([run]) == []
    return run


@pytest.mark.parametrize("where", ["server", "list", "task"])
def test_a_run_that_prints_without_end_is_stopped(where: str) -> None:
    flags = ("--log-limit", "1" if where == "server" else "100")
    limit = {"list": MIB if where == "list" else 50 * MIB, "task": MIB}
    with RunningServer("--slots", "2", *flags) as server, server.client() as client:
        task_list = client.create_task_list(
            "A list", defaults=tasks_work.shell("yes", log_limit=None if where == "server" else limit["list"])
        )
        overrides = run_config(log_limit=limit["task"]) if where == "task" else None
        with Follower(client, client.enqueue(task_list.id, "Do it", overrides=overrides).id) as follower:
            run = check_limited(client, follower.rested())
        assert tasks_following.data(follower.events) == tasks_work.logged([run])
        assert set(tasks_following.texts(follower.events)) == {"y"}
        # The next run has a log of its own.
        client.update_task_list(task_list.id, defaults=tasks_work.shell("echo done"))
        client.continue_task(follower.task_id, "Go on.")
        assert tasks_work.rest(client, follower.task_id).state == Task.STATE_SUCCEEDED


@pytest.mark.parametrize("heeds", [False, True])
def test_the_limit_holds_while_there_is_no_server(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path, *, heeds: bool
) -> None:
    prints = "exec yes" if heeds else "trap '' TERM INT HUP; while :; do echo yes; done"
    with Gate(tmp_path / "gate") as gate:
        defaults = tasks_work.shell(f"{gate.pass_through}; {prints}", log_limit=MIB)
        task_list = client.create_task_list("A list", defaults=defaults)
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        runs = list(client.list_runs(task_id))
        server.kill()
        gate.open()
        tasks_gates.until(lambda: not tasks_processes.of_runs(runs), "the run is ended")
        server.start()
    check_limited(client, tasks_work.rest(client, task_id))


def test_a_server_that_is_killed_while_the_limit_is_reached_finds_that_out(
    server: RunningServer, client: taskgrove.Client
) -> None:
    # The wrapper of a program that heeds nothing is given some seconds.
    defaults = tasks_work.shell("trap '' TERM; while :; do echo yes; done", log_limit=MIB)
    task_list = client.create_task_list("A list", defaults=defaults)
    task_id = client.enqueue(task_list.id, "Do it").id
    runs = tasks_gates.until(lambda: list(client.list_runs(task_id)), "the run")
    path = Path(runs[0].log_path)
    tasks_gates.until(lambda: path.exists() and path.stat().st_size > MIB * 0.9, "the limit is near")
    server.kill()
    server.start()
    check_limited(client, tasks_work.rest(client, task_id))


@pytest.mark.parametrize("has_result", [False, True])
def test_a_run_that_had_its_result_before_counts_by_that(tmp_path: Path, *, has_result: bool) -> None:
    result = """echo '{"type":"result","subtype":"success","is_error":false,"result":"Done."}'"""
    program = tmp_path / "claude"
    program.write_text(FLOOD.replace("RESULT", result if has_result else ":"))
    program.chmod(0o700)
    flags = ("--claude", str(program), "--log-limit", "1", "--linger", "3600", "--interrupt-grace", "0.1")
    with RunningServer(*flags) as server, server.client() as client:
        task_list = client.create_task_list("A list")
        task = tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id)
        if has_result:
            assert (task.state, task.result, task.run_count) == (Task.STATE_SUCCEEDED, "Done.", 1)
        else:
            check_limited(client, task)


def test_the_command_line_sets_the_limit_and_tells_of_it(server: RunningServer, repository: Path) -> None:
    shell = Shell(server, repository)
    listed = shell.text("lists", "create", "Many words", "--log-limit", "2M").strip()
    assert json.loads(shell.text("lists", "show", listed, "--json"))["defaults"] == {"log_limit": str(2 * MIB)}
    for options, limit in (["--log-limit", "1M"], "1 MiB"), ([], "2 MiB"):
        ended = shell.run("run", "Do it", "--list", listed, *options, "--", "yes", "x" * 999)
        assert ended.returncode == 1
        assert f"The run's log reached its limit of {limit}" in ended.stdout.decode() + ended.stderr.decode()


def test_a_run_at_its_limit_can_be_cancelled(server: RunningServer, client: taskgrove.Client) -> None:
    defaults = tasks_work.shell("trap '' TERM; while :; do echo yes; done", log_limit=MIB)
    task_list = client.create_task_list("A list", defaults=defaults)
    task_id = client.enqueue(task_list.id, "Do it").id
    runs = tasks_gates.until(lambda: list(client.list_runs(task_id)), "the run")
    path = Path(runs[0].log_path)
    tasks_gates.until(lambda: path.exists() and path.stat().st_size > MIB * 0.9, "the limit is near")
    client.cancel(task_id)
    assert tasks_work.rest(client, task_id).state == Task.STATE_CANCELLED
    assert tasks_processes.of_runs(runs) == []
