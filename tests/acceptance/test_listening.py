"""A server at several addresses, what it tells of them, and what it advises where one cannot be served."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import tasks_gates, tasks_work
from support.api_calls import Api, refusal_of, request
from support.certificates import Certificates
from support.server import RunningServer
from support.starts import Place
from taskgrove.connection import Tls


@pytest.fixture
def place() -> Iterator[Place]:
    # A short path, for the sake of its sockets.
    root = Path(tempfile.mkdtemp(prefix="tg-"))
    yield Place(root)
    shutil.rmtree(root)


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def connected(server: RunningServer, target: str, tls: Tls | None = None) -> taskgrove.Client:
    return taskgrove.Client(target, token=(server.data / "token").read_text().strip(), tls=tls)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server at two sockets and two ports."""
    with RunningServer() as running:
        running.terminate()
        sockets = (f"unix:{running.data}/taskgroved.sock", f"unix:{running.root}/own/s")
        running.start(*(f"--listen={one}" for one in (sockets[0], "127.0.0.1:0", sockets[1], "127.0.0.1:0")))
        yield running


def test_all_of_several_addresses_are_served(server: RunningServer) -> None:
    first, second, third, fourth = server.addresses
    assert first == f"unix:{server.data}/taskgroved.sock"
    assert third == f"unix:{server.root}/own/s"
    assert second.startswith("127.0.0.1:")
    assert fourth.startswith("127.0.0.1:")
    assert second != fourth
    with connected(server, first) as client:
        task = tasks_work.run(client, "echo hello")
        assert list(client.get_server_info().addresses) == server.addresses
    for target in server.addresses:
        with connected(server, target) as client:
            assert client.get_task(task.id) == task


def test_the_token_is_asked_for_at_every_port_and_at_no_socket(server: RunningServer) -> None:
    for target in server.addresses:
        with Api(target) as api:
            if target.startswith("unix:"):
                assert not api.call(request("ListTasks")).tasks
            else:
                assert refusal_of(lambda api=api: api.call(request("ListTasks"))).reason == "TOKEN_INVALID"  # type: ignore[misc]


def test_each_socket_is_restored_by_itself(server: RunningServer) -> None:
    first, second, third, _ = server.addresses
    for target in (first, third, first):
        path = Path(target.removeprefix("unix:"))
        path.unlink()
        tasks_gates.until(path.exists, "the file of the socket")
        with connected(server, target) as client, connected(server, second) as other:
            assert client.get_server_info().start_time == other.get_server_info().start_time
    # One that cannot be restored keeps no other from it.
    paths = [Path(target.removeprefix("unix:")) for target in (first, third)]
    paths[0].unlink()
    paths[0].write_text("mine")
    paths[1].unlink()
    tasks_gates.until(paths[1].exists, "the file of the other socket")
    assert paths[0].read_text() == "mine"
    assert server.terminate() == 0
    assert not paths[1].exists()


def test_environment_and_file_name_several_addresses(place: Place) -> None:
    config = place.root / "taskgroved.toml"
    config.write_text(f'listen = ["unix:{place.root}/a/s", "127.0.0.1:0"]\n', encoding="utf-8")
    environments = (
        {"TASKGROVE_CONFIG": str(config)},
        {"TASKGROVE_LISTEN": f"unix:{place.root}/a/s, 127.0.0.1:0"},
    )
    for environment in environments:
        with RunningServer(environment=environment) as running:
            assert [target.rpartition(":")[0] for target in running.addresses] == ["unix", "127.0.0.1"]


def test_a_port_that_is_taken_is_named_and_nothing_is_left(place: Place, taken: str) -> None:
    for listen in ((f"unix:{place.root}/s/s", taken), (taken, f"unix:{place.root}/s/s", "127.0.0.1:0")):
        said = place.refusal(*(f"--listen={address}" for address in listen))
        assert f"{taken}: Address already in use" in said
    assert not (place.root / "s").exists()
    assert not list(place.data.glob("*.sock"))
    assert not (place.data / "address").exists()


def test_a_socket_that_is_taken_is_named_and_nothing_is_left(place: Place) -> None:
    with RunningServer() as other, other.client() as client:
        said = place.refusal(f"--listen=unix:{place.root}/s/s", "--listen=127.0.0.1:0", f"--listen={other.target}")
        assert f"Another server serves at {other.target}" in said
        assert client.get_server_info().slots
    assert not (place.root / "s").exists()


def test_each_address_has_to_be_safe(place: Place) -> None:
    opened = place.root / "open"
    opened.mkdir()
    opened.chmod(0o755)
    for bad, why in (("0.0.0.0:0", "without TLS"), (f"unix:{opened}/s", "open to other users"), ("x", "no address")):
        assert why in place.refusal(f"--listen=unix:{place.root}/s/s", "--listen", bad)
    assert not (place.root / "s").exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("127.0.0.1:1", "localhost:1"),
        ("[::1]:1", "[0:0:0:0:0:0:0:1]:1"),
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("127.0.0.1:1", "[::]:1"),
        ("[::]:1", "0.0.0.0:1"),
        ("unix:/run/x/s", "unix:/run/x/s"),
        ("unix:/run/x/s", "unix:/run/y/../x/s"),
    ],
)
def test_addresses_that_overlap_are_both_named(place: Place, one: str, other: str) -> None:
    said = place.refusal("--listen", one, "--listen", "127.0.0.1:0", "--listen", other)
    assert f"{one} and {other} are, or include, the same place" in said


def test_sockets_that_would_stand_in_each_others_way_are_refused(place: Place) -> None:
    listen = (f"unix:{place.root}/s/sock", f"unix:{place.root}/s/~ock")
    assert "differ in more than their first letter" in place.refusal(*(f"--listen={one}" for one in listen))


def test_different_ports_and_any_ports_are_no_overlap(place: Place, tmp_path: Path) -> None:
    flags = Certificates(tmp_path).server_flags("localhost", "127.0.0.1")
    with RunningServer(*flags, "--listen=0.0.0.0:0", "--listen=127.0.0.1:0", "--listen=[::1]:0") as running:
        assert len(set(running.addresses)) == 3


def test_every_port_follows_a_certificate_that_is_renewed(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    flags = certificates.server_flags("localhost", "127.0.0.1")
    with RunningServer(*flags, "--listen=127.0.0.1:0", "--listen=localhost:0") as running:
        earlier = Tls(ca=certificates.ca)
        for target in running.addresses:
            with connected(running, target, earlier) as client:
                assert client.get_server_info().slots
        (tmp_path / "renewed").mkdir()
        renewed = Certificates(tmp_path / "renewed")
        flags_of_renewed = renewed.server_flags("localhost", "127.0.0.1")
        for old, new in zip(flags, flags_of_renewed, strict=True):
            if not old.startswith("--"):
                shutil.copy(new, old)
        for target in running.addresses:

            def trusted(target: str = target) -> bool:
                try:
                    with connected(running, target, Tls(ca=renewed.ca)) as client:
                        return bool(client.get_server_info().slots)
                except taskgrove.ServerUnavailable:
                    return False

            tasks_gates.until(trusted, "the new certificate")


def test_the_file_of_the_addresses_is_private_kept_and_removed(server: RunningServer) -> None:
    file = server.data / "address"
    content = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    tasks_gates.until(file.exists, "the file of the addresses")
    assert file.read_text() == content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.terminate() == 0
    assert not file.exists()
    assert not list(server.data.glob("address*"))


def test_the_addresses_of_a_killed_server_are_replaced_and_believed_by_nobody(place: Place, taken: str) -> None:
    with RunningServer(tcp=True) as running:
        stale = running.addresses
        running.kill()
        assert running.addresses == stale
        (running.data / "address").write_text("127.0.0.1:1\nunix:/nowhere\n")
        running.start()
        assert running.addresses == [running.target]
        running.kill()
        # One that cannot serve leaves none either.
        place = Place(place.root, data_directory=running.data)
        place.refusal("--listen", taken)
        assert not (running.data / "address").exists()
        running.start()


def test_a_server_serves_where_its_addresses_cannot_be_written(server: RunningServer) -> None:
    file = server.data / "address"
    server.terminate()
    # What an administrator has done by mistake.
    (file / "in the way").mkdir(parents=True)
    server.start()
    assert f"The addresses cannot be written to {file} yet" in server.log.read_text()
    with server.client() as client:
        assert client.get_server_info().addresses
    shutil.rmtree(file)
    tasks_gates.until(file.is_file, "the file of the addresses")


@pytest.mark.parametrize("kind", ["shared", "others", "home", "full", "empty", "above", "long", "relative", "file"])
def test_what_is_advised_instead_of_a_place_that_is_no_good_works(place: Place, kind: str) -> None:
    home = place.root / "home"
    home.mkdir(mode=0o755)
    directory = place.root / "place"
    directory.mkdir()
    environment = {"HOME": str(home)}
    path = f"{directory}/tg.sock"
    match kind:
        case "shared":
            directory.chmod(0o1777)
        case "others":
            path = others_directory(place) + "/tg.sock"
        case "home":
            path = f"{home}/tg.sock"
        case "full":
            directory.chmod(0o755)
            (directory / "of others").touch()
        case "empty":
            directory.chmod(0o755)
        case "above":
            directory.chmod(0o777)
            (directory / "place").mkdir(mode=0o755)
            (directory / "place" / "of others").touch()
            path = f"{directory}/place/tg.sock"
        case "long":
            path = f"{directory}/{'p' * 107}"
        case "relative":
            path = "tg.sock"
        case "file":
            (place.root / "file").touch()
            path = f"{place.root}/file/tg.sock"
        case _:
            raise AssertionError(kind)
    said = place.refusal("--listen", f"unix:{path}", **environment)
    if kind == "empty":
        # Nobody misses it.
        assert f"run 'chmod 700 {directory}'" in said
        directory.chmod(0o700)
        flags = ["--listen", f"unix:{path}"]
    else:
        assert "chmod" not in said
        flags = shlex.split(said[said.index("--listen unix:/") :].rstrip("."))
    assert flags[0] == "--listen"
    advised = Path(flags[1].removeprefix("unix:"))
    try:
        if kind == "relative":
            # It is where the test was started.
            assert advised == Path.cwd() / "tg.sock"
            return
        with RunningServer(*flags[:2], environment=environment) as running:
            assert running.target == f"unix:{advised}"
            assert "could put a server of their own" not in running.log.read_text()
            assert stat.S_IMODE(advised.parent.stat().st_mode) == 0o700
    finally:
        if {place.root, Path.cwd()}.isdisjoint(advised.parents):
            shutil.rmtree(advised.parent)


def others_directory(place: Place) -> str:
    """Returns a directory of another user."""
    if os.geteuid() != 0:
        return "/usr"
    directory = place.root / "others"
    directory.mkdir(mode=0o755)
    os.chown(directory, 65534, 65534)
    return str(directory)


@pytest.mark.parametrize("path", ["/tmp/tg.sock", "/var/tmp/tg.sock", "/tg.sock", "/usr/tg.sock", "/dev/shm/tg.sock"])
def test_nobody_is_told_to_shut_what_is_the_systems(place: Place, path: str) -> None:
    said = place.refusal("--listen", f"unix:{path}", HOME=str(place.root))
    assert "chmod" not in said
    advised = shlex.split(said[said.index("--listen unix:/") :].rstrip("."))[1]
    assert Path(advised.removeprefix("unix:")).parent != Path(path).parent


def test_where_others_can_put_their_own_server_in_its_place_the_log_says_so(place: Place) -> None:
    above = place.root / "above"
    above.mkdir()
    above.chmod(0o777)
    with RunningServer("--listen", f"unix:{above}/own/s") as running, running.client() as client:
        assert client.get_server_info().slots
        said = running.log.read_text()
        assert f"Other users may write to {above}" in said
        assert "--listen unix:" in said
