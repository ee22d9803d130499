"""An agent that does not tell its version keeps nobody waiting."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

from support import tasks_gates, tasks_slow
from support.server import RunningServer

#: Seconds that a call may take which waits for no program, on a machine that does other things as well. A program has
#: 20 to tell its version.
PROMPTLY = 5.0


def test_the_server_tells_what_it_knows_while_programs_hang(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.touch()
    # A number that no other test has.
    seconds = str(uuid.uuid4().int)[:9]
    claude = tasks_slow.program(tmp_path / "claude", f"echo asked >> {asked}; trap '' TERM; sleep {seconds}")
    real = shutil.which("git")
    says = f'test "$1" = version && {{ echo asked >> {asked}; exec sleep {seconds}; }}'
    git = tasks_slow.program(tmp_path / "bin/git", f'{says}\nexec {real} "$@"')
    environment = {"PATH": f"{git.parent}:{os.environ['PATH']}"}
    with RunningServer("--claude", str(claude), environment=environment) as server, server.client() as client:
        tasks_gates.until(lambda: asked.read_text().count("\n") == 2, "both programs were asked")
        began = time.monotonic()
        for _ in range(5):
            info = client.get_server_info()
            assert (info.git_version, info.slots) == ("", 4)
            first = info.agents[0]
            assert (first.name, first.available, first.path, first.version) == ("claude", True, str(claude), "")
        assert time.monotonic() - began < PROMPTLY
        # It tells once it does, and the others are asked no more.
        fresh = tasks_slow.program(tmp_path / "fresh", "echo 9.8.7")
        for process in at_work(f"^/bin/sh {claude}"):
            os.kill(process, signal.SIGKILL)
        fresh.rename(claude)
        tasks_gates.until(lambda: client.get_server_info().agents[0].version == "9.8.7", "the version")
        assert server.terminate() == 0
    assert at_work(f"^/bin/sh {claude}|^/bin/sh {git}|sleep {seconds}") == []


def at_work(pattern: str) -> list[int]:
    """Returns the processes with such a command line."""
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found]
