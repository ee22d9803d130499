"""The bearer token: made at the first start, private, replaced while the server runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import taskgrove
from support import tasks_gates
from support.server import RunningServer


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer(tcp=True) as running:
        yield running


def is_let_in(server: RunningServer, token: str) -> bool:
    with taskgrove.Client(server.target, token=token) as client:
        try:
            client.get_server_info()
        except taskgrove.Unauthenticated:
            return False
    return True


def token_of(server: RunningServer) -> str:
    return (server.data / "token").read_text().strip()


def rotate(server: RunningServer) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskgrove_server", "--data-dir", str(server.data), "--rotate-token"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_new_token_replaces_the_old_one_at_a_running_server(server: RunningServer) -> None:
    old = token_of(server)
    assert is_let_in(server, old)
    ended = rotate(server)
    assert (ended.returncode, ended.stdout) == (0, "")
    new = token_of(server)
    assert new != old
    assert new not in ended.stderr
    assert (server.data / "token").stat().st_mode & 0o777 == 0o600
    tasks_gates.until(lambda: is_let_in(server, new), "the new token to count")
    assert not is_let_in(server, old)
    for secret in (old, new):
        assert secret not in server.log.read_text()


def test_a_token_file_that_becomes_useless_leaves_the_token_as_it_was(server: RunningServer) -> None:
    token = token_of(server)
    (server.data / "token").write_text("short\n")
    tasks_gates.until(lambda: is_let_in(server, token) and "stays as it was" in server.log.read_text(), "the complaint")
    (server.data / "token").unlink()
    assert is_let_in(server, token)


def test_a_token_can_be_made_before_the_first_start() -> None:
    server = RunningServer(tcp=True)
    server.data.mkdir(mode=0o700)
    assert rotate(server).returncode == 0
    token = token_of(server)
    with server:
        assert is_let_in(server, token)


def test_a_token_that_cannot_be_written_is_told() -> None:
    server = RunningServer()
    ended = rotate(server)
    assert ended.returncode == 1
    assert str(server.data / "token") in ended.stderr
