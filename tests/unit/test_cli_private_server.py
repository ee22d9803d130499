"""What `run` says when it cannot start a server of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import click.testing
import pytest

from taskgrove.cli import exits, private_server, program


@pytest.fixture
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and no `taskgroved` beside the interpreter or on PATH."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    monkeypatch.setattr(sys, "executable", str(binaries / "python"))
    monkeypatch.setenv("PATH", str(binaries))
    monkeypatch.setenv("TASKGROVE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("TASKGROVE_TARGET", raising=False)
    return tmp_path / "data"


def install(data_directory: Path, script: str) -> None:
    taskgroved = data_directory.with_name("bin") / "taskgroved"
    taskgroved.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    taskgroved.chmod(0o755)


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(program.taskgrove, [*arguments, "run", "Fix it", "--list", "x"])


def test_a_server_that_is_not_installed_is_named_with_the_way_to_get_it(data_directory: Path) -> None:
    result = run()
    assert result.exit_code == exits.UNREACHABLE
    assert "install Taskgrove with its extra 'server'" in result.stderr


def test_a_server_that_dies_is_quoted(data_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_server, "_RIVAL_PATIENCE", 0.1)
    install(data_directory, "echo 'taskgroved: The disk is full.' >&2; exit 7")
    result = run()
    assert result.exit_code == exits.UNREACHABLE
    assert result.stderr == "taskgrove: The server ended with status 7: taskgroved: The disk is full.\n"


def test_only_the_words_of_the_last_server_are_quoted(data_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_server, "_RIVAL_PATIENCE", 0.1)
    data_directory.mkdir()
    (data_directory / "private-server.log").write_text("an earlier server\n", encoding="utf-8")
    install(data_directory, "exit 7")
    assert "it said nothing" in run().stderr


def test_a_server_that_never_serves_is_stopped(data_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_server, "_START_PATIENCE", 0.5)
    pid = data_directory.with_name("pid")
    install(data_directory, f"echo $$ > {pid}; echo 'still thinking' >&2; exec /bin/sleep 60")
    result = run()
    assert result.exit_code == exits.UNREACHABLE
    assert "was not ready within 0.5 s: still thinking" in result.stderr
    assert not Path("/proc", pid.read_text(encoding="utf-8").strip()).exists()


def test_no_server_is_started_when_another_one_is_named(data_directory: Path) -> None:
    install(data_directory, "touch started")
    result = run("--target", "unix:/nowhere/taskgroved.sock")
    assert result.exit_code == exits.UNREACHABLE
    assert "Cannot reach unix:/nowhere/taskgroved.sock" in result.stderr
    assert not data_directory.exists()


def test_a_data_directory_that_cannot_be_made_is_named(data_directory: Path) -> None:
    data_directory.write_text("a file", encoding="utf-8")
    result = run()
    assert result.exit_code == exits.UNREACHABLE
    assert f"The data directory {data_directory} cannot be used" in result.stderr
