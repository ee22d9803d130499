"""The machine is short of open files, or of processes, for a while: calls are put off, and the server lives."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import loose_server, repositories, tasks_following, tasks_gates, tasks_work, troubles
from support.cli_shell import Shell
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from support.troubles import NOT_SERVING, SERVING, Health
from taskgrove import errors
from taskgrove.v1.task_list_service_pb2 import CreateTaskListRequest
from taskgrove.v1.task_list_service_pb2_grpc import TaskListServiceStub
from taskgrove.v1.task_pb2 import Task

#: A user of whom no process runs. What root is granted is not bounded.
NOBODY = 54321
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

#: It may read all that root may, or Python would not be found below root's home.
CAPABILITIES = "+dac_override,+dac_read_search"
SERVER_OF_NOBODY = [*AS_NOBODY, f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"]


def answered(call: Callable[[], object]) -> bool:
    """Tells whether a call is answered; one that is not must be told to come back, and when."""
    try:
        call()
    except errors.TaskgroveError as error:
        if error.code not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED} or not error.retry_delay:
            raise
        return False
    return True


@pytest.fixture
def health(server: RunningServer) -> Iterator[Health]:
    with Health(server.target) as asked:
        yield asked


def test_calls_are_answered_or_put_off_while_no_file_can_be_opened(
    server: RunningServer, client: taskgrove.Client, health: Health, repository: Path
) -> None:
    task = tasks_work.run(client, "date > file", repository)
    made: list[str] = []
    with troubles.short_of("nofile", server.pid, 5):
        outcomes = [
            answered(lambda: client.get_task(task.id)),
            answered(lambda: list(client.list_tasks())),
            answered(lambda: made.append(client.create_task_list("Mine").id)),
            answered(lambda: client.get_worktree_status(task.id)),
            answered(lambda: list(client.iterate_diff(task.id))),
            answered(lambda: client.create_task_list("Mine", working_dir=repository)),
            answered(client.get_server_info),
        ]
    assert not all(outcomes), "nothing was ever short"
    assert client.get_worktree_status(task.id)
    assert {task_list.id for task_list in client.list_task_lists()} >= set(made)
    troubles.check_well(client, health)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as shut:
        yield shut


@pytest.fixture
def of_nobody() -> Iterator[RunningServer]:
    """A server of a user of whom nothing else runs, and whose processes can be counted."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("to start a server as another user takes root, and setpriv")
    place = RunningServer()
    try:
        yield place
    finally:
        place.__exit__()


def give_to_nobody(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        os.lchown(path, NOBODY, NOBODY)


def test_calls_are_answered_or_put_off_while_no_thread_and_no_process_can_be_started(of_nobody: RunningServer) -> None:
    repository = repositories.make_repository(of_nobody.root / "repository", files={"README.md": "hello\n"})
    give_to_nobody(of_nobody.root)
    with (
        loose_server.started(of_nobody, through=SERVER_OF_NOBODY) as process,
        of_nobody.client() as client,
        Health(of_nobody.target) as health,
    ):
        task = tasks_work.run(client, "date > file", repository)
        assert task.state == Task.STATE_SUCCEEDED, task.failure
        with troubles.short_of("nproc", process.pid, 1, *AS_NOBODY):
            outcomes = [
                answered(lambda: client.get_task(task.id)),
                answered(lambda: client.create_task_list("Mine")),
                answered(lambda: client.get_worktree_status(task.id)),
                answered(lambda: list(client.iterate_diff(task.id))),
                answered(client.get_server_info),
            ]
            # What needs no process of its own is answered.
            assert outcomes[:2] == [True, True]
            assert not all(outcomes), "nothing was ever short"
        assert client.get_worktree_status(task.id)
        troubles.check_well(client, health)


def check_that_tasks_wait(client: taskgrove.Client, health: Health, ids: list[str], message: str) -> None:
    """Checks that tasks wait for what the dispatcher is in trouble with."""
    told = tasks_gates.until(lambda: troubles.told(client).get("dispatcher"), "the trouble")
    assert message in told
    health.wait_for(NOT_SERVING)
    assert {client.get_task(task_id).state for task_id in ids} == {Task.STATE_QUEUED}


def check_that_tasks_are_done_once(client: taskgrove.Client, ids: list[str]) -> None:
    done = [tasks_work.rest(client, task_id) for task_id in ids]
    assert {(task.state, task.run_count) for task in done} == {(Task.STATE_SUCCEEDED, 1)}


def test_tasks_wait_while_no_file_can_be_opened(
    server: RunningServer, client: taskgrove.Client, health: Health, repository: Path
) -> None:
    # More than there are slots.
    task_list = tasks_work.make_list(client, "seq 10")
    with troubles.short_of("nofile", server.pid, 5):
        ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(6)]
        check_that_tasks_wait(client, health, ids, "Too many open files")
    check_that_tasks_are_done_once(client, ids)
    troubles.check_well(client, health)


def test_tasks_wait_while_no_thread_can_be_started(of_nobody: RunningServer) -> None:
    give_to_nobody(of_nobody.root)
    with (
        loose_server.started(of_nobody, through=SERVER_OF_NOBODY) as process,
        of_nobody.client() as client,
        Health(of_nobody.target) as health,
    ):
        task_list = tasks_work.make_list(client, "seq 10")
        with troubles.short_of("nproc", process.pid, 1, *AS_NOBODY):
            ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(3)]
            check_that_tasks_wait(client, health, ids, "can't start new thread")
        check_that_tasks_are_done_once(client, ids)
        troubles.check_well(client, health)


def test_a_data_directory_that_is_away_for_a_while_is_waited_for_and_not_made_anew(
    server: RunningServer, client: taskgrove.Client, health: Health, gate: Gate
) -> None:
    task_list = tasks_work.make_list(client, f"echo begun; {gate.pass_through}; seq 100")
    with Follower(client, client.enqueue(task_list.id, "Count").id) as follower:
        follower.wait_for_text("begun")
        away = server.root / "away"
        server.data.rename(away)
        told = tasks_gates.until(lambda: troubles.told(client).get("files"), "the trouble")
        assert f"The data directory {server.data} is not at its place" in told
        ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(6)]
        check_that_tasks_wait(client, health, ids, "No such file or directory")
        assert not server.data.exists()
        away.rename(server.data)
        gate.open()
        check_that_tasks_are_done_once(client, [follower.task_id, *ids])
        follower.rested()
        assert tasks_following.texts(follower.events) == ["begun", *map(str, range(1, 101))]
    troubles.check_well(client, health)


def test_a_store_that_is_out_of_order_is_told_until_it_is_well_again(
    server: RunningServer, client: taskgrove.Client, health: Health, repository: Path
) -> None:
    shell = Shell(server, repository)
    with contextlib.closing(sqlite3.connect(server.data / "taskgrove.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        # Once: each attempt waits for the lock, and the client makes more of them than there is time for here.
        with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as refused:
            TaskListServiceStub(channel).CreateTaskList(CreateTaskListRequest(title="Mine"))
        assert errors.from_rpc_error(refused.value, server.target).retry_delay == 1
        (trouble,) = [one for one in client.get_server_info().troubles if one.name == "store"]
        assert trouble.count >= 1
        assert "database is locked" in trouble.message
        assert trouble.HasField("begin_time")
        health.wait_for(NOT_SERVING)
        said = " ".join(shell.run("doctor").stdout.decode().split())
        assert "The server has trouble with store" in said
        other.execute("ROLLBACK")
    # Nobody calls, and yet it is found out.
    health.wait_for(SERVING)
    troubles.check_well(client, health)
    assert "trouble" not in shell.run("doctor").stdout.decode()
