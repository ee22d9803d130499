"""What the doctor finds."""

from __future__ import annotations

import fcntl
import os
import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import repositories
from support.cli_stand_in import StandIn, invoke
from taskgrove import errors
from taskgrove.cli import asking, connecting, exits
from taskgrove.cli.doctor import disk_usage, findings, places, programs, service
from taskgrove.v1.server_service_pb2 import Agent, DataDirectory, DiskUsage, GetServerInfoResponse, Trouble


@dataclass
class Usage:
    free: int


def old(_: str) -> str:
    return "1.9.5"


SERVER = connecting.Server("localhost:1", None)


def a_program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_python_must_be_new_enough() -> None:
    assert programs.python().status == "ok"
    old = programs.python((3, 10, 4))
    assert (old.status, old.advice) == ("problem", "Install Python 3.11 or newer.")


def test_packages_have_the_floors_that_the_project_declares() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = dict(one.split(">=") for one in (*project["dependencies"], *project["optional-dependencies"]["cli"]))
    assert {name: ".".join(map(str, floor)) for name, floor in programs.PACKAGES.items()} == declared
    assert {programs.package(name).status for name in declared} == {"ok"}


def test_a_package_that_is_too_old_or_missing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", old)
    found = programs.package("grpcio")
    assert (found.status, found.advice) == ("problem", "Install Taskgrove anew, which brings grpcio 1.80.1 or newer.")

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert programs.package("grpcio").what == "grpcio is not installed"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("echo git version 2.38.0", "ok"),
        ("echo git version 2.100.1.windows.1", "ok"),
        ("echo git version 2.37.9", "problem"),
        ("echo what", "problem"),
        ("exit 1", "problem"),
    ],
)
def test_git_must_be_able_to_land(script: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_program(tmp_path / "git", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert programs.git().status == status
    monkeypatch.setenv("PATH", "")
    assert programs.git().what == "git is not on PATH"


def test_claude_is_looked_for_where_the_server_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = {"PATH": str(tmp_path)}
    assert programs.claude(path).status == "warning"
    a_program(tmp_path / "claude", "echo 2.1.0 '(Claude Code)'")
    assert programs.claude(path).what == f"2.1.0 (Claude Code) at {tmp_path}/claude"
    mine = a_program(tmp_path / "mine", "exec sleep 60")
    monkeypatch.setattr(asking, "PATIENCE", 0.2)
    assert programs.claude({**path, "TASKGROVE_CLAUDE": str(mine)}).status == "problem"


def test_an_editor_is_found(tmp_path: Path) -> None:
    assert programs.editor({"EDITOR": "nano"}).what == "EDITOR is nano"
    assert programs.editor({"VISUAL": "code --wait", "EDITOR": "nano"}).what == "VISUAL is code --wait"
    assert programs.editor({"PATH": str(tmp_path)}).status == "warning"
    a_program(tmp_path / "vi", "")
    assert "opens vi" in programs.editor({"PATH": str(tmp_path)}).what


def test_a_server_that_answers_is_well(stand_in: StandIn) -> None:
    (found,) = service.examine(SERVER)
    assert found == findings.ok("server", f"Version {taskgrove.__version__} answers at localhost:1")


def test_what_the_server_tells_of_itself_is_told(stand_in: StandIn) -> None:
    stand_in.info = GetServerInfoResponse(
        version="0.0.1",
        space_short=True,
        git_version="2.34.1",
        agents=[
            Agent(name="claude", available=True, version="2.1.0", path="/opt/claude"),
            Agent(name="other", problem="Not found. Install it."),
        ],
    )
    server, versions, disk, git, claude, other = service.examine(SERVER)
    assert [found.status for found in (server, versions, disk, git, claude, other)] == [
        "ok",
        "warning",
        "problem",
        "problem",
        "ok",
        "warning",
    ]
    assert git.what == "Its git 2.34.1 is too old"
    assert "2.1.0 at /opt/claude" in claude.what
    assert "Install it" in other.what


def test_the_data_directory_of_the_server_is_told(stand_in: StandIn) -> None:
    stand_in.info.data_directory.CopyFrom(DataDirectory(path="/srv/it", id="4f2a"))
    told = "The server's data directory is /srv/it (id 4f2a)"
    assert list(service.examine(SERVER))[1] == findings.ok("data directory", told)
    stand_in.info.data_directory.copied_from = "/srv/other"
    told += ", a copy of /srv/other, whose agents and worktrees it leaves alone"
    assert list(service.examine(SERVER))[1] == findings.ok("data directory", told)


@pytest.mark.parametrize(
    ("failure", "status", "advice"),
    [
        (errors.Unauthenticated("No."), "problem", "TASKGROVE_TOKEN"),
        (errors.ServerUnavailable("No.", code=grpc.StatusCode.UNAVAILABLE), "problem", "--target"),
        (errors.ServerDraining("No.", reason="SERVER_DRAINING"), "warning", "Try again"),
        (errors.InternalServerError("No."), "problem", "log"),
    ],
)
def test_a_server_that_does_not_answer_comes_with_advice(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, failure: errors.TaskgroveError, status: str, advice: str
) -> None:
    def fails(**_: object) -> None:
        raise failure

    monkeypatch.setattr(stand_in, "get_server_info", fails)
    (found,) = service.examine(SERVER)
    assert found.status == status
    assert advice in found.advice


def test_a_token_that_would_travel_unencrypted_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKGROVE_TLS_CA", raising=False)
    (found,) = service.examine(connecting.Server("example.org:1", "secret"))
    assert found.status == "problem"
    assert "unencrypted" in found.what
    assert "secret" not in found.text


def test_a_default_server_that_is_not_there_is_only_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TASKGROVE_TARGET", raising=False)

    def fails(*_: object, **__: object) -> None:
        raise errors.ServerUnavailable("No.", code=grpc.StatusCode.UNAVAILABLE)

    monkeypatch.setattr(taskgrove, "Client", fails)
    (found,) = service.examine(connecting.Server(None, None))
    assert found.status == "warning"
    assert f"unix:{tmp_path}/taskgroved.sock (the default)" in found.what


@pytest.mark.parametrize(
    "failure",
    [errors.ServerUnavailable("No.", code=grpc.StatusCode.UNAVAILABLE), errors.DeadlineExceeded("Too late.")],
)
def test_who_holds_the_data_directory_of_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: errors.TaskgroveError
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(taskgrove, "Client", fails)
    server = connecting.Server(f"unix:{tmp_path}/taskgroved.sock", None)
    lock = tmp_path / "lock"
    for content in ("", "no number\n", "4194305\n", f"{os.getpid()}\n"):
        lock.write_text(content)
        (found,) = service.examine(server)
        assert "holds the data directory" not in found.what
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (found,) = service.examine(server)
    assert found.status == "problem"
    assert f"process {os.getpid()} holds the data directory {tmp_path}" in found.what
    assert f"kill {os.getpid()}" in found.advice


def test_what_the_server_has_trouble_with_is_a_problem(stand_in: StandIn) -> None:
    trouble = Trouble(name="dispatcher", message="Too many open files", count=7)
    trouble.begin_time.FromSeconds(1_700_000_000)
    stand_in.info.troubles.append(trouble)
    _, found = service.examine(SERVER)
    assert found.status == "problem"
    assert "dispatcher, 7 times since 2023-11-1" in found.what
    assert found.what.endswith("Too many open files")


def test_the_socket_must_be_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.socket_directory("localhost:1") is None
    assert service.socket_directory("unix:/nowhere/at/all/s") is None
    place = tmp_path / "data"
    place.mkdir(mode=0o700)
    for address in (f"unix:{place}/s", f"unix://{place}/s"):
        found = service.socket_directory(address)
        assert found is not None
        assert found.status == "ok"
    place.chmod(0o750)
    found = service.socket_directory(f"unix:{place}/s")
    assert found is not None
    # It may be everybody's.
    assert (found.status, found.advice) == ("problem", "Serve at a socket in a directory that only you can enter.")
    (place / "taskgrove.db").touch()
    found = service.socket_directory(f"unix:{place}/s")
    assert found is not None
    assert (found.status, found.advice) == ("problem", f"Run: chmod 700 '{place}'")
    monkeypatch.setattr(os, "getuid", lambda: -1)
    found = service.socket_directory(f"unix:{place}/s")
    assert found is not None
    assert "another user" in found.what


def test_the_token_must_be_private(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert service.token_file(token) is None
    token.touch(mode=0o600)
    found = service.token_file(token)
    assert found is not None
    assert found.status == "ok"
    token.chmod(0o644)
    found = service.token_file(token)
    assert found is not None
    assert found.status == "problem"


@pytest.mark.parametrize(("mebibytes", "status"), [(50, "problem"), (500, "warning"), (5000, "ok")])
def test_there_must_be_room(mebibytes: int, status: str, tmp_path: Path) -> None:
    asked: list[Path] = []

    def usage(place: Path) -> Usage:
        asked.append(place)
        return Usage(free=mebibytes * 1024 * 1024)

    assert places.disk(tmp_path / "not" / "yet", usage).status == status
    assert asked == [tmp_path]


def test_a_repository_must_have_a_commit(tmp_path: Path) -> None:
    assert places.repository(tmp_path).status == "warning"
    empty = repositories.make_empty_repository(tmp_path / "empty")
    assert places.repository(empty).status == "problem"
    assert places.repository(repositories.make_bare_repository(tmp_path / "bare.git")).status == "problem"
    top = repositories.make_repository(tmp_path / "project")
    assert places.repository(top / "src") == findings.ok("repository", f"The repository {top} can be worked on")


def test_the_exit_code_tells_of_problems_and_not_of_warnings(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(repositories.make_repository(tmp_path / "project"))
    monkeypatch.setenv("TASKGROVE_CLAUDE", "/nowhere/claude")
    fine = invoke("doctor")
    assert fine.exit_code == exits.SUCCEEDED, fine.stdout
    assert re.search(r"^warning  Claude Code \(/nowhere/claude\) is not on PATH\. Install", fine.stdout, re.MULTILINE)
    (tmp_path / "token").touch(mode=0o644)
    ill = invoke("doctor")
    assert ill.exit_code == exits.FAILED
    assert re.search(r"^problem  Others can read .*token \(mode 0644\)\. Run: chmod 600", ill.stdout, re.MULTILINE)


def test_disk_usage_is_told_in_sizes_that_a_person_reads() -> None:
    usage = DiskUsage(log_bytes=3 << 29, worktree_bytes=123 << 20, sandbox_bytes=0, database_bytes=40960, saved_refs=7)
    (found,) = disk_usage.examine(usage)
    assert found.status == "ok"
    assert found.what.startswith(
        "logs 1.5 GiB, worktrees 123 MiB, sandboxes 0 bytes, database 40.0 KiB, leftovers unknown; "
        "7 refs to saved work, 0 to kept commits, as of "
    )


@pytest.mark.parametrize(
    ("usage", "what", "advice"),
    [
        (DiskUsage(log_bytes=10 << 30), "logs take 10.0 GiB", "log_retention"),
        (DiskUsage(worktree_bytes=200 << 30), "worktrees take 200 GiB", "taskgrove prune --rested-for 30d"),
        (DiskUsage(sandbox_bytes=2 << 40), "sandboxes take 2.0 TiB", "taskgrove rm --before 30d --discard-worktree"),
        (DiskUsage(database_bytes=11 << 30), "database take 11.0 GiB", "task_retention"),
        (DiskUsage(leftover_bytes=1 << 30), "leftovers take 1.0 GiB", "log tells what resists"),
        (DiskUsage(saved_refs=9_999, kept_refs=1), "10000 refs keep work", "git update-ref -d REF"),
    ],
)
def test_much_is_a_warning_with_what_to_do(usage: DiskUsage, what: str, advice: str) -> None:
    _, found = disk_usage.examine(usage)
    assert found.status == "warning"
    assert what in found.what
    assert advice in found.advice
