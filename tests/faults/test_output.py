"""Agents that treat their output in unusual ways."""

from __future__ import annotations

from pathlib import Path

import pytest

import taskgrove
from support import tasks_following, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from taskgrove import Task

RESULT = '{"type":"result","subtype":"success","is_error":false,"result":"Done."}'


@pytest.mark.parametrize("anew", ["> /dev/stdout", "> /proc/self/fd/1", "| tee /proc/$$/fd/1 >/dev/null"])
def test_a_wrapper_that_opens_its_output_anew_loses_no_line(tmp_path: Path, anew: str) -> None:
    program = tmp_path / "claude"
    init = '{"type":"system","subtype":"init"}'
    program.write_text(f"#!/bin/sh\nread -r prompt\necho '{init}'\necho '{RESULT}'\necho '{{\"bye\":1}}' {anew}\n")
    program.chmod(0o700)
    with RunningServer("--claude", str(program)) as server, server.client() as client:
        task_list = client.create_task_list("A list")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            task = follower.rested()
        assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Done.")
        assert tasks_following.data(follower.events).decode().splitlines() == [init, RESULT, '{"bye":1}']
        assert tasks_following.data(client.watch(task.id)) == tasks_following.data(follower.events)


def test_children_that_keep_the_output_open_keep_no_run(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; exec sleep 1000' & done; echo one")
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "one")
    assert tasks_processes.of_runs(tasks_work.runs(client, task)) == []


def test_what_comes_after_the_result_is_kept_too(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\nread -r prompt\necho '{RESULT}'\nseq 200000\n")
    program.chmod(0o700)
    with RunningServer("--claude", str(program)) as server, server.client() as client:
        task_list = client.create_task_list("A list")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            task = follower.rested()
        assert (task.state, task.result, task.last_line) == (Task.STATE_SUCCEEDED, "Done.", 200_001)
        assert tasks_following.data(follower.events).endswith(b"\n199999\n200000\n")
