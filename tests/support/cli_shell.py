"""A person at a shell: runs the real `taskgrove`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from support.server import RunningServer

#: Seconds in which a command must do what a test waits for.
PATIENCE = 60.0

PROGRAM = str(Path(sys.executable).with_name("taskgrove"))


class Shell:
    """Runs `taskgrove` in a directory, with the environment of a person who has nothing but a data directory."""

    def __init__(self, place: RunningServer, directory: Path, **environment: str) -> None:
        self.place = place
        self.directory = directory
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place.home),
            "LANG": "C.UTF-8",
            "TASKGROVE_DATA_DIR": str(place.data),
            **environment,
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a command to its end."""
        return finish(self.start(*arguments))

    def text(self, *arguments: str) -> str:
        """Runs a command that must succeed; returns what it printed on standard output."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.decode()

    def at_terminal(self, *arguments: str, typed: bytes = b"") -> bytes:
        """Runs a command at a terminal of its own, where something is typed; returns what the terminal got."""
        ours, theirs = os.openpty()
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            command = subprocess.Popen(
                [PROGRAM, *arguments],
                cwd=self.directory,
                env=self.environment,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
            os.close(theirs)
            terminal.write(typed)
            got = b""
            # A terminal that nobody has open any more reports an error instead of an end.
            with contextlib.suppress(OSError):
                while part := terminal.read(65536):
                    got += part
            command.wait(PATIENCE)
        assert b"Traceback" not in got
        return got

    def work(self, command: str) -> str:
        """Runs a shell line as a task until it rests; returns its id."""
        task_id = self.text("enqueue", "Do it", "--", "sh", "-c", command).strip()
        self.run("watch", task_id)
        return task_id

    def server_pid(self) -> int | None:
        """Returns the process id of the server that owns the data directory, if it is alive."""
        try:
            pid = int((self.place.data / "lock").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"taskgroved" in command else None


def finish(command: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Waits for a command's end."""
    try:
        stdout, stderr = command.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        command.kill()
        stdout, stderr = command.communicate()
        pytest.fail(f"{command.args!r} did not end: {stdout!r} {stderr!r}")
    assert b"Traceback" not in stderr
    return subprocess.CompletedProcess(command.args, command.returncode, stdout, stderr)


def await_line(stream: IO[bytes] | None, text: bytes) -> bytes:
    """Reads lines until one contains the text, and returns what was read; the test's timeout bounds it."""
    assert stream is not None
    read = b""
    for line in stream:
        read += line
        if text in line:
            return read
    pytest.fail(f"No line with {text!r} came: {read!r}")


def shown(shell: Shell, task_id: str) -> dict[str, Any]:
    """Returns what `show` has of a task, on a server that runs."""
    parsed: dict[str, Any] = json.loads(shell.run("show", task_id, "--json").stdout)
    return parsed


def task_id_in(output: bytes) -> str:
    """Returns the first task id in a person's output."""
    found = re.search(rb"\btask ([a-z2-7]{12})\b", output, re.IGNORECASE)
    assert found, output
    return found[1].decode()


def end_server(shell: Shell) -> None:
    """Ends the server that owns the data directory, if one is alive."""
    pid = shell.server_pid()
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while shell.server_pid() is not None:
        assert time.monotonic() < deadline, "The private server does not end."
        time.sleep(0.02)
