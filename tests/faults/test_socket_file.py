"""Others take away what clients find the server by: the file of its socket, its directory, the token."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import taskgrove
from support import tasks_counting, tasks_following, tasks_gates, tasks_work, troubles
from support.cli_shell import Shell
from support.server import PATIENCE, RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.server_service_pb2 import GetServerInfoRequest
from taskgrove.v1.server_service_pb2_grpc import ServerServiceStub
from taskgrove.v1.task_pb2 import Task


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer("--slots", "2") as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as shut:
        yield shut


def socket_of(server: RunningServer) -> Path:
    return Path(server.target.removeprefix("unix:"))


def reachable(server: RunningServer) -> bool:
    """Tells whether a client that comes now reaches the server."""
    if not socket_of(server).is_socket():
        return False
    with server.client() as client:
        return bool(client.get_server_info().version)


def test_a_socket_that_was_removed_is_there_again_and_what_was_connected_stays_so(
    server: RunningServer, client: taskgrove.Client, gate: Gate
) -> None:
    task_list = tasks_work.make_list(client, f"echo begun; {gate.pass_through}; seq 100")
    with Follower(client, client.enqueue(task_list.id, "Count").id) as follower:
        follower.wait_for_text("begun")
        for _ in range(3):
            socket_of(server).unlink()
            tasks_gates.until(lambda: reachable(server), "the server within reach")
            assert socket_of(server).stat().st_mode & 0o777 == 0o600
            # Who was connected is served as before.
            assert client.get_task(follower.task_id).state == Task.STATE_RUNNING
        gate.open()
        assert follower.rested().state == Task.STATE_SUCCEEDED
        assert tasks_following.texts(follower.events) == ["begun", *map(str, range(1, 101))]
        # It is one stream from begin to end, which was never taken up again.
        assert sum(isinstance(event, taskgrove.Opened) for event in follower.events) == 1
    assert server.terminate() == 0
    assert not [path for path in server.data.iterdir() if path.name.endswith(".sock")]


def test_a_run_goes_on_without_loss_whatever_becomes_of_the_socket(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    task_list = tasks_work.make_list(client, tasks_counting.command(500, ran), repository)
    followers = [Follower(client, client.enqueue(task_list.id, f"Task {number}").id) for number in range(4)]
    while not all(has_rested(follower) for follower in followers):
        socket_of(server).unlink(missing_ok=True)
        tasks_gates.until(lambda: reachable(server), "the server within reach")
    for follower in followers:
        tasks_counting.check_one_run_and_one_commit(client, repository, follower.rested(), ran)
        assert tasks_following.texts(follower.events) == [str(number) for number in range(1, 501)]


def has_rested(follower: Follower) -> bool:
    return bool(tasks_following.terminal_states(follower.events))


@pytest.mark.parametrize("left", ["nothing", "directory", "open directory"])
def test_a_directory_of_the_socket_that_was_removed_is_made_again(left: str) -> None:
    with RunningServer() as server:
        server.terminate()
        directory = server.root / "place"
        server.start("--listen", f"unix:{directory}/s")
        with server.client() as client:
            assert not troubles.told(client)
            shutil.rmtree(directory)
            if left == "directory":
                directory.mkdir(mode=0o700)
            elif left == "open directory":
                directory.mkdir()
                directory.chmod(0o755)
                tasks_gates.until(lambda: "chmod 700" in troubles.told(client).get("files", ""), "the trouble")
                assert not list(directory.iterdir())
                directory.chmod(0o700)
            tasks_gates.until(lambda: reachable(server), "the server within reach")
            assert directory.stat().st_mode & 0o777 == 0o700
            tasks_gates.until(lambda: not troubles.told(client), "the end of the trouble")


def test_another_file_in_place_of_the_socket_is_not_touched(server: RunningServer, client: taskgrove.Client) -> None:
    assert not troubles.told(client)
    socket_of(server).unlink()
    socket_of(server).write_text("mine")
    told = tasks_gates.until(lambda: troubles.told(client).get("files"), "the trouble")
    assert "is not a socket" in told
    assert socket_of(server).read_text() == "mine"
    socket_of(server).unlink()
    tasks_gates.until(lambda: reachable(server), "the server within reach")
    tasks_gates.until(lambda: not troubles.told(client), "the end of the trouble")


def start_time(target: str) -> Timestamp:
    """Asks who serves at a target now, over a connection of its own."""
    with grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = ServerServiceStub(channel)
        return stub.GetServerInfo(GetServerInfoRequest(), timeout=PATIENCE, wait_for_ready=True).start_time


def test_another_servers_socket_is_not_taken(server: RunningServer, client: taskgrove.Client) -> None:
    first = client.get_server_info().start_time
    other = RunningServer("--listen", server.target)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        socket_of(server).unlink()
        other.start()
        others = start_time(server.target)
        assert others != first
        os.kill(server.pid, signal.SIGCONT)
        told = tasks_gates.until(lambda: troubles.told(client).get("files"), "the trouble")
        assert "Another server" in told
        # The first goes without taking the other's socket along.
        assert server.terminate() == 0
        assert start_time(server.target) == others
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGCONT)
        other.__exit__()
    assert not socket_of(server).exists()


def test_a_socket_of_a_server_that_was_killed_is_made_anew(server: RunningServer) -> None:
    server.kill()
    assert socket_of(server).is_socket()
    server.start()
    assert reachable(server)
    assert [path.name for path in server.data.iterdir() if path.name.endswith(".sock")] == ["taskgroved.sock"]


def test_a_token_that_was_removed_is_there_again() -> None:
    with RunningServer(tcp=True) as server:
        file = server.data / "token"
        token = file.read_text()
        file.unlink()
        tasks_gates.until(file.exists, "the file of the token")
        assert file.read_text() == token
        assert file.stat().st_mode & 0o777 == 0o600
        with server.client() as client:
            assert client.get_server_info().version


def test_a_command_finds_the_server_whose_socket_was_just_removed(server: RunningServer, repository: Path) -> None:
    socket_of(server).unlink()
    ended = Shell(server, repository).run("run", "Count", "--", "echo", "done")
    assert ended.returncode == 0, ended.stderr
    assert b"\ndone\n" in ended.stdout
    # It was done by this server, and by none that the command has started.
    with server.client() as client:
        assert [task.title for task in client.list_tasks()] == ["Count"]
    assert server.terminate() == 0


def test_a_lock_that_was_removed_is_there_again_and_keeps_others_out(server: RunningServer) -> None:
    lock = server.data / "lock"
    for _ in range(3):
        lock.unlink()
        tasks_gates.until(lambda: lock.exists() and lock.read_text() == f"{server.pid}\n", "the file of the lock")
        other = [sys.executable, "-m", "taskgrove_server", "--data-dir", str(server.data), "--listen", "127.0.0.1:0"]
        ended = subprocess.run(other, capture_output=True, check=False, text=True, timeout=PATIENCE)
        assert ended.returncode == 1
        assert f"Another server (process {server.pid}) owns the data directory" in ended.stderr
    assert reachable(server)


def test_doctor_names_the_process_that_holds_the_data_directory(repository: Path) -> None:
    with RunningServer() as server:
        server.terminate()
        server.start("--listen", f"unix:{server.root}/s/elsewhere")
        ended = Shell(server, repository).run("doctor")
        assert ended.returncode == 1
        said = ended.stdout.decode()
        assert f"process {server.pid} holds the data directory {server.data}" in " ".join(said.split())
        server.kill()
        # A lock of one that is gone is nobody's.
        assert "No server answers" in Shell(server, repository).run("doctor").stdout.decode()
        assert f"process {server.pid}" not in Shell(server, repository).run("doctor").stdout.decode()
