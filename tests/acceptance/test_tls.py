"""TCP with TLS: to other addresses than loopback, with and without certificates of clients, and renewed."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import tasks_gates, tasks_work, troubles
from support.certificates import Certificates
from support.server import RunningServer
from taskgrove.connection import Tls
from taskgrove_server.api import addresses
from taskgrove_server.tls import Tls as ServerTls
from taskgrove_server.tls import TlsFiles, TlsUnusable


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def flags(certificates: Certificates, *more: str) -> list[str]:
    return [*certificates.server_flags("localhost", "127.0.0.1"), *more]


def connect(server: RunningServer, tls: Tls | bool | None, token: str | None = None) -> taskgrove.Client:
    given = token or (server.data / "token").read_text().strip()
    return taskgrove.Client(server.target, token=given, tls=tls, timeout=5)


@pytest.fixture
def server(certificates: Certificates) -> Iterator[RunningServer]:
    with RunningServer(*flags(certificates), tcp=True) as running:
        yield running


def test_a_task_is_watched_over_tls(server: RunningServer, certificates: Certificates) -> None:
    with connect(server, Tls(ca=certificates.ca)) as client:
        task = tasks_work.run(client, "seq 1 1000")
        assert len(list(client.lines(task.id))) == 1001


@pytest.mark.asyncio
async def test_the_asyncio_client_speaks_tls_too(server: RunningServer, certificates: Certificates) -> None:
    token = (server.data / "token").read_text().strip()
    async with taskgrove.AsyncClient(server.target, token=token, tls=Tls(ca=certificates.ca)) as client:
        assert (await client.get_server_info()).slots


def test_the_environment_says_how_to_connect(
    server: RunningServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKGROVE_TLS_CA", str(certificates.ca))
    with connect(server, None) as client:
        assert client.get_server_info().slots


def test_the_command_line_speaks_tls(server: RunningServer, certificates: Certificates) -> None:
    token = (server.data / "token").read_text().strip()
    program = Path(sys.executable).with_name("taskgrove")
    options = ["--target", server.target, "--token", token, "--tls-ca", str(certificates.ca)]
    ended = subprocess.run([program, *options, "ls"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "There are no tasks.\n")
    with connect(server, Tls(ca=certificates.ca)) as client:
        task = tasks_work.run(client, "true")
    # As bash asks for what could come next.
    typed = ["taskgrove", *options, "show", ""]
    asked = {"_TASKGROVE_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    completed = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False, env=asked)
    assert (completed.stdout, completed.stderr) == (f"plain,{task.id}\n", "")


def test_the_token_is_wanted_over_tls_too(server: RunningServer, certificates: Certificates) -> None:
    with connect(server, Tls(ca=certificates.ca), token="t" * 43) as client, pytest.raises(taskgrove.Unauthenticated):
        client.get_server_info()


def test_nobody_is_served_without_tls_or_trusts_a_stranger(server: RunningServer, certificates: Certificates) -> None:
    stranger = Certificates(certificates.directory, "stranger.pem")
    for tls in (False, Tls(ca=stranger.ca), Tls(ca=certificates.ca, server_name="other")):
        with connect(server, tls) as client, pytest.raises(taskgrove.ServerUnavailable):
            client.get_server_info()


def test_only_clients_with_a_certificate_are_let_in(certificates: Certificates) -> None:
    cert, key = certificates.write("client", "grace@example.org")
    wanted = flags(certificates, "--tls-client-ca", str(certificates.ca))
    with RunningServer(*wanted, tcp=True) as running:
        with connect(running, Tls(ca=certificates.ca, cert=cert, key=key)) as client:
            assert client.get_server_info().slots
        with connect(running, Tls(ca=certificates.ca)) as client, pytest.raises(taskgrove.ServerUnavailable):
            client.get_server_info()


def test_a_renewed_certificate_is_taken_without_a_restart(server: RunningServer, certificates: Certificates) -> None:
    newer = Certificates(certificates.directory, "newer.pem")
    newer.write("server", "localhost", "127.0.0.1")

    def served() -> bool:
        with connect(server, Tls(ca=newer.ca)) as client:
            try:
                return bool(client.get_server_info().slots)
            except taskgrove.ServerUnavailable:
                return False

    tasks_gates.until(served, "the new certificate")


def test_a_renewed_certificate_that_cannot_be_used_is_told_and_the_one_before_stays(
    server: RunningServer, certificates: Certificates
) -> None:
    def told() -> str | None:
        # Whoever connects has the server look for newer ones.
        with connect(server, Tls(ca=certificates.ca)) as client:
            return troubles.told(client).get("certificates")

    certificate = certificates.directory / "server.pem"
    good = certificate.read_bytes()
    certificate.write_text("no certificate")
    assert "The certificates stay as they were" in tasks_gates.until(told, "the trouble")
    certificate.write_bytes(good)
    tasks_gates.until(lambda: not told(), "the end of the trouble")


def test_other_addresses_are_served_with_tls_only(certificates: Certificates) -> None:
    with pytest.raises(addresses.AddressUnusable, match="without TLS"):
        addresses.require_free("0.0.0.0:0", tls=False)
    addresses.require_free("0.0.0.0:0", tls=True)
    with RunningServer(*flags(certificates), "--listen", "0.0.0.0:0") as running:
        port = running.target.rpartition(":")[2]
        token = (running.data / "token").read_text().strip()
        tls = Tls(ca=certificates.ca, server_name="localhost")
        with taskgrove.Client(f"{socket.gethostname()}:{port}", token=token, tls=tls) as client:
            assert client.get_server_info().slots


def test_a_token_is_never_sent_to_another_machine_unencrypted() -> None:
    with pytest.raises(ValueError, match="unencrypted"):
        taskgrove.Client("example.org:7431", token="secret")
    with taskgrove.Client("example.org:7431", token="secret", tls=True) as client:
        assert client.target == "example.org:7431"


def test_files_that_cannot_be_used_are_refused_with_their_names(certificates: Certificates) -> None:
    cert, key = certificates.write("server", "localhost")
    with pytest.raises(TlsUnusable, match=r"missing\.pem"):
        ServerTls(TlsFiles(certificates.directory / "missing.pem", key))
    text = certificates.directory / "text"
    text.write_text("no certificate")
    with pytest.raises(TlsUnusable, match="no PEM file"):
        ServerTls(TlsFiles(text, key))
    key.chmod(0o644)
    with pytest.raises(TlsUnusable, match="chmod 600"):
        ServerTls(TlsFiles(cert, key))
