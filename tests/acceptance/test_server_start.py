"""The command `taskgroved`: what it says when it cannot start, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import api_calls, api_server
from support.api_calls import Api, request
from support.api_server import ApiServer, Gate
from support.server import PATIENCE, RunningServer
from support.starts import Place
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub
from taskgrove_server.api import addresses


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("s"))


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_second_server_on_a_data_directory_names_the_first_and_leaves_it_alone(place: Place) -> None:
    with RunningServer() as first, first.client() as client:
        said = place.refusal("--data-dir", str(first.data))
        assert f"process {first.pid}" in said
        assert str(first.data) in said
        # Elsewhere, but over the same data: still a second one.
        assert place.refusal("--data-dir", str(first.data), "--listen", "127.0.0.1:0") == said
        assert client.create_task_list("Still there").id


def test_two_servers_that_start_at_once_leave_one(place: Place) -> None:
    command = [sys.executable, "-m", "taskgrove_server", "--data-dir", str(place.data)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.root)}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    deadline = time.monotonic() + PATIENCE
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (loser,) = (process for process in both if process.poll() is not None)
    (winner,) = (process for process in both if process is not loser)
    assert loser.returncode == 1
    assert "owns the data directory" in loser.communicate()[1]
    winner.terminate()
    assert winner.wait(PATIENCE) in {0, -15}  # told before it could listen to it
    winner.communicate()


def test_a_socket_path_that_is_too_long_is_refused(place: Place) -> None:
    path = f"/{'p' * 107}"
    assert "107 bytes" in place.refusal("--listen", f"unix:{path}")
    assert "--listen" in place.refusal("--data-dir", str(place.root / ("d" * 100)))


def test_a_socket_path_of_107_bytes_is_served() -> None:
    with RunningServer() as probe:
        directory = probe.root / "s"
        path = f"{directory}/{'p' * (106 - len(str(directory)))}"
        assert len(path) == 107
        probe.terminate()
        probe.start("--listen", f"unix:{path}")
        assert probe.target == f"unix:{path}"
        with Api(probe.target) as api:
            assert not api.call(request("ListTasks")).tasks


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o770])
def test_a_socket_directory_that_is_open_to_others_is_refused(place: Place, mode: int) -> None:
    directory = place.root / "open"
    directory.mkdir()
    directory.chmod(mode)
    said = place.refusal("--listen", f"unix:{directory}/s")
    assert f"chmod 700 {directory}" in said
    assert list(directory.iterdir()) == []


def test_a_data_directory_that_is_open_to_others_is_no_place_for_the_socket(place: Place) -> None:
    place.data.mkdir()
    place.data.chmod(0o755)
    assert f"chmod 700 {place.data}" in place.refusal()


def test_a_relative_socket_path_is_refused(place: Place) -> None:
    assert "absolute" in place.refusal("--listen", "unix:taskgroved.sock")


def test_a_socket_that_is_served_is_left_to_its_server(place: Place) -> None:
    with RunningServer() as other, other.client() as client:
        assert "Another server" in place.refusal("--listen", other.target)
        assert client.create_task_list("Still there").id


def test_a_file_that_is_no_socket_is_not_overwritten(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    (place.data / "taskgroved.sock").write_text("mine", encoding="utf-8")
    assert "not a socket" in place.refusal()
    assert (place.data / "taskgroved.sock").read_text(encoding="utf-8") == "mine"


def test_a_socket_that_a_killed_server_left_is_replaced() -> None:
    with RunningServer() as running:
        running.kill()
        assert (running.data / "taskgroved.sock").is_socket()
        running.start()
        with Api(running.target) as api:
            assert not api.call(request("ListTasks")).tasks


def test_an_address_that_is_none_or_that_others_can_reach_is_refused(place: Place) -> None:
    said = place.refusal("--listen", "0.0.0.0:7431")
    assert "0.0.0.0:7431" in said
    assert "loopback" in said
    # gRPC would serve at port 34463.
    assert "is no address" in place.refusal("--listen", "127.0.0.1:99999")


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "example.org:1", ":1", "*:1", "127.0.0.1.example.org:1", "localhost.:1"],
)
def test_only_loopback_addresses_may_be_served(address: str) -> None:
    with pytest.raises(addresses.AddressUnusable, match="loopback"):
        addresses.require_free(address, tls=False)


@pytest.mark.parametrize(
    "address",
    ["", "1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:1", "[127.0.0.1]:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(addresses.AddressUnusable, match="is no address"):
        addresses.require_free(address, tls=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_addresses_are_served(host: str) -> None:
    with RunningServer("--listen", f"{host}:0") as running:
        assert running.target.rpartition(":")[0] == host
        with running.client() as client:
            assert not list(client.list_tasks())


def test_a_port_in_use_is_refused(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = place.refusal("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert "Address already in use" in said


def test_the_port_of_another_taskgroved_is_not_shared(place: Place) -> None:
    with RunningServer(tcp=True) as other:
        assert "Address already in use" in place.refusal("--listen", other.target)


def test_a_data_directory_that_is_a_file_is_refused(place: Place) -> None:
    (place.root / "file").write_text("", encoding="utf-8")
    for path in (place.root / "file", place.root / "file" / "below"):
        assert str(path) in place.refusal("--data-dir", str(path))


def test_a_data_directory_that_cannot_be_written_is_refused(place: Place) -> None:
    # Root may write where the mode says otherwise, but not where the file system does.
    path = Path("/sys/kernel/taskgrove") if os.geteuid() == 0 else place.data
    if os.geteuid() != 0:
        place.data.mkdir(mode=0o500)
    assert f"The data directory {path} cannot be used" in place.refusal("--data-dir", str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "fewer than 32"), (b"short\n", "fewer than 32"), (b"\xff" * 40, "cannot be used")],
)
def test_a_token_that_is_no_good_is_refused(place: Place, content: bytes, expected: str) -> None:
    place.data.mkdir(mode=0o700)
    (place.data / "token").write_bytes(content)
    said = place.refusal()
    assert expected in said
    assert str(place.data / "token") in said


def test_a_database_that_is_damaged_is_refused(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    (place.data / "taskgrove.db").write_bytes(b"not a database" * 1000)
    assert str(place.data / "taskgrove.db") in place.refusal()


def test_an_unknown_key_of_the_file_is_refused(place: Place) -> None:
    config = place.root / "taskgroved.toml"
    config.write_text('slotz = 3\nlog_level = "error"\n', encoding="utf-8")
    said = place.refusal("--config", str(config))
    assert "slotz" in said
    assert str(config) in said
    assert said == place.refusal(TASKGROVE_CONFIG=str(config))


@pytest.mark.parametrize("content", ["slots = ", "slots = 0", "\udcff"])
def test_a_file_that_is_no_good_is_refused_by_its_name(place: Place, content: str) -> None:
    config = place.root / "taskgroved.toml"
    config.write_bytes(content.encode(errors="surrogateescape"))
    assert str(config) in place.refusal("--config", str(config))
    assert str(place.root / "nowhere") in place.refusal("--config", str(place.root / "nowhere"))


def test_a_bad_value_is_refused_by_where_it_stands(place: Place) -> None:
    assert "--slots: '0'" in place.refusal("--slots", "0")
    assert "TASKGROVE_SLOTS: 'many'" in place.refusal(TASKGROVE_SLOTS="many")


def test_an_unknown_flag_is_a_wrong_command_line(place: Place) -> None:
    for flag in ("--nonsense", "--slot"):  # no abbreviations: they would change when a flag is added
        ended = place.run(flag, "3")
        assert ended.status == 2
        assert flag in ended.stderr


def test_help_and_version_are_told(place: Place) -> None:
    told = place.run("--help")
    assert (told.status, told.stderr) == (0, "")
    assert "--allowed-roots" in told.stdout
    assert place.run("--version").stdout.startswith("taskgroved ")
    assert not place.data.exists()


def test_flags_come_before_the_environment_and_that_before_the_file(place: Place) -> None:
    config = place.root / "taskgroved.toml"
    config.write_text('listen = "file"\n', encoding="utf-8")
    assert "'file'" in place.refusal("--config", str(config))
    assert "'flag'" in place.refusal("--config", str(config), "--listen", "flag", TASKGROVE_LISTEN="environment")


def test_the_default_data_directory_is_that_of_the_user(place: Place) -> None:
    shared = place.root / "shared"
    for environment, path in (
        ({}, place.root / ".local/share/taskgrove"),
        ({"XDG_DATA_HOME": str(shared)}, shared / "taskgrove"),
        ({"TASKGROVE_DATA_DIR": "~/mine"}, place.root / "mine"),
    ):
        assert place.run("--listen", "nowhere", **environment).status == 1
        assert (path / "lock").exists()


@pytest.fixture
def serving() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "1") as running:
        yield running


def test_sigterm_ends_a_watch_with_an_invitation_to_come_back(serving: ApiServer, gate: Gate) -> None:
    task = serving.enqueue_gated(serving.client.create_task_list("Mine").id, gate)
    stub = TaskServiceStub(serving.api.channel)
    watches = [stub.WatchTask(request("WatchTask", task_id=task.id), timeout=PATIENCE) for _ in range(3)]
    assert all(next(watch).HasField("opened") for watch in watches)
    assert serving.running.terminate() == 0
    for watch in watches:
        refusal = api_calls.refusal_of(watch.__next__)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert refusal.retry_delay == 1


def test_sigterm_leaves_a_run_to_the_next_server(serving: ApiServer, gate: Gate) -> None:
    task = serving.enqueue_gated(serving.client.create_task_list("Mine").id, gate)
    assert serving.running.terminate() == 0
    assert serving.running.run_processes()
    serving.running.start()
    with serving.reconnected() as api:
        running = api.call(request("GetTask", task_id=task.id)).task
        assert (running.state, running.run_count) == (Task.STATE_RUNNING, 1)
        gate.open()
        *_, rested = api.call(request("WatchTask", task_id=task.id))
        assert (rested.rested.task.state, rested.rested.task.run_count) == (Task.STATE_SUCCEEDED, 1)
        assert rested.rested.task.result == "opened"
    assert serving.running.run_processes() == []


def test_a_client_sees_nothing_of_a_restart(serving: ApiServer, gate: Gate) -> None:
    task = serving.enqueue_gated(serving.client.create_task_list("Mine").id, gate)
    with serving.client.watch(task.id) as watch:
        events = iter(watch)
        assert isinstance(next(events), taskgrove.Opened)
        assert serving.running.terminate() == 0
        serving.running.start()
        gate.open()
        rest = list(events)
    assert isinstance(rest[-1], taskgrove.Rested)
    assert [event.number for event in rest if isinstance(event, taskgrove.Line)] == [1, 2]


def test_when_told_to_a_server_stops_its_runs_with_it(gate: Gate) -> None:
    with api_server.serve("--slots", "1", "--stop-runs") as stopping:
        task = stopping.enqueue_gated(stopping.client.create_task_list("Mine").id, gate)
        assert stopping.running.terminate() == 0
        assert stopping.running.run_processes() == []
        stopping.running.start()
        with stopping.reconnected() as api:
            stopped = api.call(request("GetTask", task_id=task.id)).task
        assert stopped.state == Task.STATE_FAILED
        assert stopped.failure.kind == FailureKind.FAILURE_KIND_INTERRUPTED


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]]
)
def test_any_signal_to_end_ends_the_server(serving: ApiServer, signals: list[signal.Signals]) -> None:
    process = serving.running._process
    assert process is not None
    for number in signals:
        process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert not (serving.running.data / "taskgroved.sock").exists()
