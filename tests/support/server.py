"""A real `taskgroved` in a process of its own, over a scratch data directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import taskgrove
from taskgrove_server.processes import sweeping

#: Seconds within which the server has to serve, or to end, on a machine that does other things as well.
PATIENCE = 30.0


class RunningServer:
    """Starts the server, and leaves nothing of it behind."""

    def __init__(
        self,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        tcp: bool = False,
        module: str = "taskgrove_server",
        within: Sequence[str] = (),
    ) -> None:
        self._module = module
        # A program with its arguments that becomes the command which follows, such as one that sets a limit.
        self._within = within
        # A short path: a socket's may have 107 bytes, which pytest's own directories come near to.
        self.root = Path(tempfile.mkdtemp(prefix="tg-"))
        self.data = self.root / "data"
        self.home = self.root / "home"
        self.home.mkdir()
        self.log = self.root / "stderr"
        self._flags = flags
        self._tcp = tcp
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.target = ""

    @property
    def pid(self) -> int:
        """Returns the server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def addresses(self) -> list[str]:
        """Returns what the file in the data directory says of where the server serves."""
        return (self.data / "address").read_text(encoding="utf-8").splitlines()

    def start(self, *flags: str) -> Self:
        """Starts the server and waits until it serves."""
        listen = ["--listen", "127.0.0.1:0"] if self._tcp else []
        command = [*self._within, sys.executable, "-m", self._module, "--data-dir", str(self.data), *listen]
        with self.log.open("ab") as log:
            start = log.tell()
            self._process = subprocess.Popen(
                [*command, *self._flags, *flags], env=self._environment, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self.log.read_bytes()[start:].decode()
            if " is ready on " in said:
                self.target = said.split(" is ready on ", 1)[1].split()[0]
                return self
            assert self._process.poll() is None, f"taskgroved ended: {said}"
            assert time.monotonic() < deadline, f"taskgroved does not serve: {said}"
            time.sleep(0.02)

    def client(self) -> taskgrove.Client:
        """Returns a client of the server."""
        return taskgrove.Client(self.target, token=(self.data / "token").read_text().strip())

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def wait(self) -> None:
        """Waits until the server has ended by itself."""
        assert self._process is not None
        self._process.wait(PATIENCE)

    def terminate(self) -> int:
        """Asks the server to stop; returns its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def run_processes(self) -> list[int]:
        """Returns the ids of all processes that carry the marker of a run of this server."""
        # The database knows all of them; the directories of runs that have ended are gone.
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/taskgrove.db?mode=ro", uri=True)) as database:
            runs: list[str] = [run for (run,) in database.execute("SELECT id FROM run")]
        marks = [f"TASKGROVE_RUN_ID={run}".encode() for run in runs]
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    if any(mark in variables for mark in marks):
                        found.append(int(entry.name))
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        for path in (self.data / "runs").glob("*"):
            self._end_run(path)
        shutil.rmtree(self.root, ignore_errors=True)

    def _end_run(self, run_directory: Path) -> None:
        with contextlib.suppress(OSError, ValueError):
            supervisor = int((run_directory / "lock").read_text().split()[0])
            command = Path(f"/proc/{supervisor}/cmdline").read_bytes()
            if b"supervisor.py" in command:
                os.kill(supervisor, signal.SIGKILL)
        sweeping.sweep_run(run_directory.name)
