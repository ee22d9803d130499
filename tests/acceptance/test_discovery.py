"""The README's commands that ask a server what it has, with a tool that knows nothing of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.api_services import SERVICES
from support.server import RunningServer

README = Path(__file__).parents[2] / "README.md"
SOCKET = "~/.local/share/taskgrove/taskgroved.sock"


def commands() -> list[str]:
    """Returns the commands that the README shows."""
    text = README.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"^buf curl .*$", text, re.MULTILINE)


def buf(command: list[str]) -> str:
    """Runs a command with the buf of this environment."""
    program = Path(sys.executable).with_name("buf")
    ended = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_commands_of_the_readme_find_every_method(server: RunningServer) -> None:
    socket = str(server.data / "taskgroved.sock")
    listing, info = [shlex.split(command.replace(SOCKET, socket)) for command in commands()]
    expected = {f"{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
    assert expected <= set(buf(listing).split())
    assert json.loads(buf(info))["slots"] == 4


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
def test_the_same_works_over_tcp_with_the_token(protocol: str) -> None:
    with RunningServer(tcp=True) as server:
        token = (server.data / "token").read_text().strip()
        header = f"authorization: Bearer {token}"
        listing, info = [shlex.split(command) for command in commands()]
        for command in (listing, info):
            at = command.index("--unix-socket")
            options = ["--reflect-protocol", protocol, "--header", header, "--reflect-header", header]
            command[at : at + 2] = options
            command[-1] = command[-1].replace("http://localhost", f"http://{server.target}")
        assert "taskgrove.v1.TaskService/Enqueue" in buf(listing)
        assert json.loads(buf(info))["agents"]
