from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from support.api_services import SERVICES
from taskgrove import connection


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TASKGROVE_TARGET", "TASKGROVE_TOKEN", "TASKGROVE_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def bearer(target: str, token: str | None = None) -> str | None:
    return dict(connection.resolve(target, token).metadata).get("authorization")


def test_the_default_target_is_the_socket_in_the_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert connection.default_target() == f"unix:{tmp_path}/.local/share/taskgrove/taskgroved.sock"
    monkeypatch.setenv("XDG_DATA_HOME", "/shared")
    assert connection.default_target() == "unix:/shared/taskgrove/taskgroved.sock"
    monkeypatch.setenv("TASKGROVE_DATA_DIR", "/own")
    assert connection.default_data_directory() == Path("/own")
    assert connection.resolve(None, None).target == "unix:/own/taskgroved.sock"


def test_a_target_is_the_one_given_else_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGROVE_TARGET", "localhost:1")
    assert connection.resolve("localhost:2", None).target == "localhost:2"
    assert connection.resolve(None, None).target == "localhost:1"


def test_a_token_is_the_one_given_else_of_the_environment_else_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path))
    assert bearer("localhost:1") is None
    (tmp_path / "token").write_text("from-file\n")
    assert bearer("localhost:1") == "Bearer from-file"
    monkeypatch.setenv("TASKGROVE_TOKEN", "from-environment")
    assert bearer("localhost:1") == "Bearer from-environment"
    assert bearer("localhost:1", "given") == "Bearer given"
    assert bearer("unix:/x.sock", "given") == "Bearer given"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_token_file_that_holds_no_token_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path))
    (tmp_path / "token").write_bytes(content)
    assert bearer("localhost:1") is None


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("ipv4:127.0.0.1:1", True),
        ("ipv6:[::1]:1", True),
        ("dns:localhost:1", True),
        ("dns:///localhost:1", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:1", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:1", False),
        ("dns://8.8.8.8/localhost:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.org:1", False),
        ("example.org:1", False),
        ("unix:/run/localhost", False),
        ("unix:localhost", False),
        ("[broken", False),
        ("", False),
    ],
)
def test_the_token_file_is_for_tcp_on_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, local: bool
) -> None:
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path))
    (tmp_path / "token").write_text("secret")
    assert connection.is_loopback(target) is local
    if target:
        assert bearer(target) == ("Bearer secret" if local else None)


@pytest.mark.parametrize(
    "target",
    ["example.org:1", "unix.example.org:1", "unixlike:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "dns://8.8.8.8/localhost:1"],
)
def test_a_token_does_not_go_to_another_machine_unencrypted(target: str) -> None:
    with pytest.raises(ValueError, match="unencrypted"):
        connection.resolve(target, "secret")
    assert connection.resolve(target, "secret", tls=True).metadata
    assert connection.resolve(target, None).metadata == ()


def test_a_connection_does_not_show_its_token() -> None:
    assert "secret" not in repr(connection.resolve("localhost:1", "secret"))


def test_grpc_repeats_all_calls_but_the_watches_each_of_which_reads_or_has_a_request_id() -> None:
    methods = {f"{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
    config = json.loads(json.dumps(connection.SERVICE_CONFIG))
    repeated = {f"{name['service']}/{name['method']}" for name in config["methodConfig"][0]["name"]}
    assert methods - repeated == {
        "taskgrove.v1.TaskService/WatchTask",
        "taskgrove.v1.EventService/WatchEvents",
    }
    assert repeated < methods
    for service in SERVICES:
        for method in service.methods:
            reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
            assert reads != ("request_id" in method.input_type.fields_by_name), method.full_name


@pytest.mark.parametrize("source", ["typescript/src/connection.ts", "cpp/connection.cpp"])
def test_the_clients_in_other_languages_repeat_the_same_calls(source: str) -> None:
    text = (Path(__file__).parents[2] / "client" / source).read_text(encoding="utf-8")
    methods = [method for _, methods in connection.RETRIED_METHODS for method in methods]
    # No other strings in these files are written like the names of methods.
    assert re.findall(r'"([A-Z][a-z]+[A-Za-z]*)"', text) == methods
