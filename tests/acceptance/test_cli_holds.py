"""What a person sees of what holds tasks back, and how it is lifted."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cli_shell, tasks_gates
from support.cli_shell import Shell
from support.server import RunningServer


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A person whose server finds no Claude Code, and would not look for it again for an hour."""
    with RunningServer("--claude", str(tmp_path / "claude"), "--retry-pause", "3600") as server:
        yield Shell(server, tmp_path)


def wait_for_hold(shell: Shell) -> str:
    """Waits until something is held; returns what `holds` shows."""
    return tasks_gates.until(lambda: shell.text("holds"), "a hold")


def test_nothing_is_held_at_first(shell: Shell) -> None:
    ended = shell.run("holds")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"Nothing is held.\n")
    refused = shell.run("lift", "agent:claude")
    assert refused.returncode == 5
    assert b"There is no hold 'agent:claude'" in refused.stderr


def test_a_hold_is_shown_wherever_one_looks_and_lifted(shell: Shell, tmp_path: Path) -> None:
    task_id = shell.text("enqueue", "Do it").strip()
    shown = wait_for_hold(shell)
    assert "agent:claude" in shown
    assert "was not found" in " ".join(shown.split())
    (hold,) = (json.loads(line) for line in shell.text("holds", "--json").splitlines())
    assert (hold["id"], hold["attempts"]) == ("agent:claude", 1)
    listed = shell.run("ls")
    assert task_id in listed.stdout.decode()
    assert "Held (agent:claude), next try " in listed.stderr.decode()
    # Of what has ended there is nothing to wait for.
    assert shell.run("ls", "--state", "failed").stderr == b"There are no such tasks.\n"
    doctor = shell.run("doctor").stdout.decode()
    assert "hold agent:claude" in doctor or "Held (agent:claude)" in doctor
    assert "taskgrove lift agent:claude" in " ".join(doctor.split())
    assert "hold_began" in shell.text("events", "--no-follow", "--kind", "hold_began")
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert shell.text("lift", "agent:claude") == "agent:claude is lifted.\n"
    tasks_gates.until(lambda: "failed" in shell.text("ls"), "the task is tried")
    assert shell.run("holds").stderr == b"Nothing is held.\n"
    assert "agent:claude" in shell.text("events", "--no-follow", "--kind", "hold_ended")


def test_who_follows_a_task_is_told_once_why_it_waits(shell: Shell) -> None:
    running = shell.start("run", "Do it")
    seen = cli_shell.await_line(running.stderr, b"Held (agent:claude)")
    running.send_signal(signal.SIGINT)
    ended = cli_shell.finish(running)
    assert (seen + ended.stderr).count(b"Held (agent:claude)") == 1
    assert b"cancelled" in ended.stdout + ended.stderr
