"""What the command line says where it cannot reach a server: one sentence, with what to do."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Generator, Iterator
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from support.certificates import Certificates
from support.cli_shell import PROGRAM
from support.server import RunningServer
from taskgrove.cli import exits

PAST = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(certificates: Certificates) -> Certificates:
    return Certificates(certificates.directory, "stranger.pem")


@pytest.fixture(scope="module")
def encrypted(certificates: Certificates) -> Iterator[RunningServer]:
    with RunningServer(*certificates.server_flags("localhost", "127.0.0.1"), tcp=True) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[RunningServer]:
    with RunningServer(tcp=True) as server:
        yield server


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Says nothing of what is no request."""


@contextlib.contextmanager
def web_server(certificate: tuple[Path, Path] | None = None) -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def said(tmp_path: Path, *arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Returns the exit code, and the one line that is said."""
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", **environment}
    ended = subprocess.run(
        [PROGRAM, *arguments, "ls"], env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert not ended.stdout
    # Nothing of gRPC's own, which begins with a letter and a date.
    assert ended.stderr.startswith("taskgrove: ")
    assert ended.stderr.count("\n") == 1
    return ended.returncode, ended.stderr.removeprefix("taskgrove: ").rstrip()


def test_plaintext_where_all_is_encrypted(encrypted: RunningServer, tmp_path: Path) -> None:
    code, line = said(tmp_path, "--target", encrypted.target, "--token", "t")
    assert code == exits.UNREACHABLE
    assert line == (
        f"Cannot reach {encrypted.target}: it takes encrypted connections only. "
        "Name the authority of its certificate with --tls-ca or TASKGROVE_TLS_CA."
    )


def test_encryption_where_there_is_none(plain: RunningServer, certificates: Certificates, tmp_path: Path) -> None:
    code, line = said(tmp_path, "--target", plain.target, TASKGROVE_TLS_CA=str(certificates.ca))
    assert code == exits.UNREACHABLE
    assert "it does not encrypt. Leave out --tls-ca" in line


def test_an_authority_that_the_certificate_is_not_from(
    encrypted: RunningServer, stranger: Certificates, tmp_path: Path
) -> None:
    for ca, authority in ((str(stranger.ca), f"the authority in {stranger.ca}"), ("default", "that everybody knows")):
        code, line = said(tmp_path, "--target", encrypted.target, "--tls-ca", ca)
        assert code == exits.UNREACHABLE
        assert "its certificate does not come from" in line
        assert authority in line


def test_a_name_that_the_certificate_is_not_for(
    encrypted: RunningServer, certificates: Certificates, tmp_path: Path
) -> None:
    named = ("--tls-ca", certificates.ca, "--tls-server-name", "elsewhere.example")
    code, line = said(tmp_path, "--target", encrypted.target, *named)
    assert code == exits.UNREACHABLE
    assert "its certificate is not for elsewhere.example" in line
    assert "--tls-server-name" in line


@pytest.mark.parametrize("name", [".localhost", "local..host", "long" * 16])
def test_a_name_that_no_certificate_can_be_for(
    encrypted: RunningServer, certificates: Certificates, tmp_path: Path, name: str
) -> None:
    code, line = said(
        tmp_path, "--target", encrypted.target, "--token", "t", "--tls-ca", certificates.ca, "--tls-server-name", name
    )
    assert code == exits.UNREACHABLE
    assert line == (
        f"Cannot reach {encrypted.target}: {name} can be in no certificate. "
        "Check --tls-server-name or TASKGROVE_TLS_SERVER_NAME."
    )


@pytest.mark.parametrize(
    ("span", "what"),
    [((PAST, PAST + timedelta(days=1)), "has expired"), ((None, None), "is not valid yet")],
    ids=["expired", "of the future"],
)
def test_a_certificate_out_of_its_time(
    certificates: Certificates, tmp_path: Path, span: tuple[datetime | None, ...], what: str
) -> None:
    now = datetime.now(UTC)
    begin, end = span[0] or now + timedelta(days=10), span[1] or now + timedelta(days=20)
    cert, key = certificates.write("timed", "localhost", "127.0.0.1", not_before=begin, not_after=end)
    with RunningServer("--tls-cert", str(cert), "--tls-key", str(key), tcp=True) as server:
        code, line = said(tmp_path, "--target", server.target, "--tls-ca", certificates.ca)
    assert code == exits.UNREACHABLE
    assert f"its certificate {what}" in line


def test_a_certificate_of_ones_own_is_wanted(
    certificates: Certificates, stranger: Certificates, tmp_path: Path
) -> None:
    flags = (*certificates.server_flags("localhost", "127.0.0.1"), "--tls-client-ca", str(certificates.ca))
    mine = ("--tls-ca", certificates.ca)
    with RunningServer(*flags, tcp=True) as server:
        code, line = said(tmp_path, "--target", server.target, *mine)
        assert (code, "takes only clients that have a certificate" in line) == (exits.UNREACHABLE, True)
        cert, key = stranger.write("theirs", "ada@example.org")
        code, line = said(tmp_path, "--target", server.target, *mine, "--tls-cert", cert, "--tls-key", key)
        assert (code, f"does not accept the certificate in {cert}" in line) == (exits.UNREACHABLE, True)
        code, line = said(tmp_path, "--target", server.target, *mine, "--tls-cert", cert)
        assert (code, "A certificate alone is of no use" in line) == (exits.UNREACHABLE, True)
        other = certificates.write("other", "eve@example.org")[1]
        code, line = said(tmp_path, "--target", server.target, *mine, "--tls-cert", cert, "--tls-key", other)
        assert (code, f"{other} does not fit {cert}" in line) == (exits.UNREACHABLE, True)


def test_a_file_that_holds_no_certificate(encrypted: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="utf-8")
    for path in (tmp_path / "ca.pem", Path("/dev/null"), tmp_path / "missing.pem"):
        code, line = said(tmp_path, "--target", encrypted.target, "--tls-ca", path)
        assert code == exits.UNREACHABLE
        assert str(path) in line


@pytest.mark.parametrize("token", ["wrong", "of two words", "w\u00f6rong"])
def test_a_wrong_token(plain: RunningServer, tmp_path: Path, token: str) -> None:
    code, line = said(tmp_path, "--target", plain.target, "--token", token)
    assert code == exits.UNREACHABLE
    assert "'token'" in line
    assert token not in line


def test_a_token_with_a_line_end_is_taken(plain: RunningServer, tmp_path: Path) -> None:
    token = (plain.data / "token").read_text(encoding="utf-8").strip()
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TASKGROVE_TOKEN": f"{token}\r\n"}
    assert subprocess.run([PROGRAM, "--target", plain.target, "ls"], env=given, check=False).returncode == 0


def test_another_service_of_grpc(tmp_path: Path) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        code, line = said(tmp_path, "--target", f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()
    assert code == exits.UNREACHABLE
    assert "is no Taskgrove server" in line


@pytest.mark.parametrize("tls", [(), ("--tls-ca", "default")], ids=["plain", "encrypted"])
def test_a_web_server(tmp_path: Path, tls: tuple[str, ...]) -> None:
    with web_server() as address:
        code, line = said(tmp_path, "--target", address, *tls)
    assert code == exits.UNREACHABLE
    assert "a web server answers there" in line


def test_a_web_server_that_encrypts(certificates: Certificates, tmp_path: Path) -> None:
    with web_server(certificates.write("web", "localhost", "127.0.0.1")) as address:
        code, line = said(tmp_path, "--target", address, "--tls-ca", certificates.ca)
    assert code == exits.UNREACHABLE
    assert "what answers there does not speak gRPC" in line


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    for target, what in {
        f"127.0.0.1:{free}": "nothing listens there",
        f"unix:{tmp_path}/left": "nothing listens there",
        f"unix:{tmp_path}/none": "there is no such socket",
        f"unix:{tmp_path}/{'long' * 40}": "too long",
        "nobody.invalid:1": "there is no machine of this name",
        f"{'long' * 16}.invalid:1": "there is no machine of this name",
        "two..dots:1": "there is no machine of this name",
        "http://localhost:1": "that is no address",
        "localhost:many": "that is no address",
    }.items():
        code, line = said(tmp_path, "--target", target)
        assert code == exits.UNREACHABLE
        assert f"Cannot reach {target}: " in line
        assert what in line


def test_words_of_grpc_are_there_for_who_asks(encrypted: RunningServer, stranger: Certificates, tmp_path: Path) -> None:
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GRPC_VERBOSITY": "INFO"}
    command = [PROGRAM, "--target", encrypted.target, "--tls-ca", str(stranger.ca), "ls"]
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert "CERTIFICATE_VERIFY_FAILED" in ended.stderr
