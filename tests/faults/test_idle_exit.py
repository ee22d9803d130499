"""A server that nobody needs any more ends by itself, and takes nobody's call along."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import tasks_gates, tasks_work
from support.cli_shell import Shell, await_line, end_server, finish, shown, task_id_in
from support.server import PATIENCE, RunningServer
from support.tasks_gates import Gate
from support.tasks_land import Project
from taskgrove import errors
from taskgrove.v1 import task_list_service_pb2 as lists_pb2
from taskgrove.v1.task_list_service_pb2_grpc import TaskListServiceStub
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.worktree_service_pb2 import LandRequest
from taskgrove.v1.worktree_service_pb2_grpc import WorktreeServiceStub

#: Seconds that a private server of these tests is idle before it ends.
IDLE = "1"

SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as shut:
        yield shut


@pytest.fixture
def place() -> Iterator[RunningServer]:
    server = RunningServer("--idle-exit", IDLE)
    try:
        yield server
    finally:
        server.__exit__()


@pytest.fixture
def shell(place: RunningServer, repository: Path) -> Iterator[Shell]:
    """A shell where no server runs."""
    shell = Shell(place, repository, TASKGROVE_IDLE_EXIT=IDLE)
    yield shell
    end_server(shell)


def ended(place: RunningServer) -> int:
    assert place._process is not None
    return place._process.wait(PATIENCE)


def test_a_server_without_work_and_calls_ends(place: RunningServer) -> None:
    place.start()
    assert ended(place) == 0
    assert "Traceback" not in place.log.read_text()
    assert not (place.data / "taskgroved.sock").exists()


def test_by_default_a_server_stays() -> None:
    with RunningServer() as server, server.client() as client:
        assert client.get_server_info().version
        log = server.log.read_text()
        assert "shuts down" not in log


@contextlib.contextmanager
def relied_on(place: RunningServer) -> Generator[None]:
    """Keeps the server, as a command does that relies on it, however slow the machine is."""
    place.data.mkdir(mode=0o700, exist_ok=True)
    with (place.data / "private-server.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def test_a_server_stays_for_who_relies_on_it(place: RunningServer) -> None:
    with relied_on(place):
        place.start()
        assert stays(place)
    assert ended(place) == 0


def test_a_server_stays_for_a_task_and_for_who_watches_and_ends_after_them(place: RunningServer, gate: Gate) -> None:
    with relied_on(place), place.start().client() as client:
        task_list = tasks_work.make_list(client, gate.pass_through)
        running = client.enqueue(task_list.id, "Wait")
        gate.wait_for_arrivals()
    assert stays(place)
    with place.client() as client, client.watch_events() as feed:
        watching = threading.Thread(target=lambda: next(iter(feed)))
        watching.start()
        gate.open()
        assert tasks_work.rest(client, running.id).state == Task.STATE_SUCCEEDED
        watching.join(PATIENCE)
        watching = threading.Thread(target=lambda: list(feed))
        watching.start()
        assert stays(place)
    watching.join(PATIENCE)
    assert ended(place) == 0


def test_a_server_stays_for_work_whose_caller_has_left(place: RunningServer, gate: Gate, tmp_path: Path) -> None:
    with relied_on(place), place.start().client() as client, grpc.insecure_channel(place.target) as channel:
        project = Project(client, tmp_path / "project")
        tasks_work.add_filter(project.path)
        task = project.run("echo landed > b.filtered")
        tasks_work.set_filter(project.path, smudge=f"sh -c '{gate.pass_through}; cat'")
        call = WorktreeServiceStub(channel).Land.future(LandRequest(task_id=task.id, strategy=SQUASH))
        gate.wait_for_arrivals()
        call.cancel()
    assert stays(place)
    gate.open()
    assert ended(place) == 0
    assert "b.filtered" in project.files()


def stays(place: RunningServer) -> bool:
    """Tells whether the server is there for longer than it takes to be idle."""
    assert place._process is not None
    try:
        place._process.wait(3 * float(IDLE))
    except subprocess.TimeoutExpired:
        return True
    return False


def test_a_call_that_comes_while_the_server_leaves_is_served_or_told_to_come_back(place: RunningServer) -> None:
    for _ in range(3):
        place.start("--idle-exit", "0.01")
        made: list[str] = []
        with grpc.insecure_channel(place.target) as channel:
            stub = TaskListServiceStub(channel)
            while True:
                # Calls with pauses in which the server may find itself idle.
                try:
                    made.append(stub.CreateTaskList(lists_pb2.CreateTaskListRequest(title="Mine")).task_list.id)
                except grpc.RpcError as error:
                    refused = errors.from_rpc_error(error, place.target)
                    # gRPC cancels what comes at the very moment at which it stops.
                    if refused.code != grpc.StatusCode.CANCELLED:
                        assert refused.code == grpc.StatusCode.UNAVAILABLE
                        if refused.reason is None:
                            break
                        assert (refused.reason, refused.retry_delay) == ("SERVER_DRAINING", 1)
                threading.Event().wait(0.02)
        assert ended(place) == 0
        place.start("--idle-exit", "0")
        with place.client() as client:
            there = {task_list.id for task_list in client.list_task_lists()}
            assert set(made) <= there
        place.terminate()


def private_server(shell: Shell) -> int:
    return tasks_gates.until(shell.server_pid, "a private server")


def check_end(shell: Shell) -> None:
    """Checks that the private server ends by itself, and that a later `run` works."""
    tasks_gates.until(lambda: shell.server_pid() is None, "the end of the private server")
    again = shell.run("run", "Again", "--", "echo", "again")
    assert again.returncode == 0, again.stderr
    assert b"\nagain\n" in again.stdout
    # It may have found one that the killed command had only just started.
    tasks_gates.until(lambda: shell.server_pid() is None, "the end of the private server")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
def test_a_private_server_ends_after_a_run_that_was_ended(shell: Shell, gate: Gate, number: signal.Signals) -> None:
    command = shell.start("run", "Wait", "--", "sh", "-c", f"echo begun; {gate.pass_through}")
    task_id = task_id_in(await_line(command.stdout, b"begun"))
    command.send_signal(number)
    finish(command)
    assert shown(shell, task_id)["task"]["state"] == "STATE_RUNNING"
    gate.open()
    check_end(shell)
    with shell.place.start("--idle-exit", "0").client() as client:
        assert client.get_task(task_id).state == Task.STATE_SUCCEEDED
    shell.place.terminate()


def test_a_private_server_ends_after_a_run_that_was_killed_at_any_step(shell: Shell) -> None:
    for step in ("private-server.lock", "lock", "taskgroved.sock", "logs/*"):
        command = shell.start("run", "Count", "--", "seq", "10")
        while command.poll() is None and not any(shell.place.data.glob(step)):
            threading.Event().wait(0.001)
        with contextlib.suppress(ProcessLookupError):
            command.kill()
        finish(command)
        check_end(shell)
        shutil.rmtree(shell.place.data)


def test_a_private_server_ends_after_two_runs_that_were_killed(shell: Shell, gate: Gate) -> None:
    waits = f"echo begun; {gate.pass_through}"
    commands = [shell.start("run", f"Number {number}", "--", "sh", "-c", waits) for number in range(2)]
    for command in commands:
        await_line(command.stdout, b"begun")
    pid = private_server(shell)
    for command in commands:
        command.kill()
    for command in commands:
        finish(command)
    assert pid == private_server(shell)
    gate.open()
    check_end(shell)


def test_a_run_that_begins_while_the_private_server_leaves_starts_another(shell: Shell) -> None:
    # A killed run leaves a server; each next one begins when that is about to leave, or has just left.
    first = shell.start("run", "First", "--", "echo", "first")
    await_line(first.stdout, b"first")
    first.kill()
    finish(first)
    pids = {private_server(shell)}
    for pause in (0.8, 1.2, 1.6, 2.0):
        threading.Event().wait(pause)
        command = shell.start("run", "Next", "--", "echo", "next")
        assert b"next" in await_line(command.stdout, b"\nnext"[1:])
        pid = shell.server_pid()
        command.kill()
        finish(command)
        if pid is not None:
            pids.add(pid)
    check_end(shell)
    tasks_gates.until(lambda: not any(map(is_server, pids)), "the end of all that were started")


def is_server(pid: int) -> bool:
    try:
        return b"taskgroved" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
