"""The servers of a benchmark: taskgroved and its peers, each with a stream of lines that a client can ask for."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import taskgrove
from benchmarks import sampling
from benchmarks.peers.plan import Plan
from benchmarks.receiving import CLIENT_CORE, ROOT
from support.server import RunningServer
from taskgrove.v1.task_service_pb2 import WatchTaskRequest

#: Where the servers run; the same for all.
SERVER_CORE = 1

#: Seconds within which a server has to serve, and an emitter to come to its gate.
PATIENCE = 30.0

_EMITTER = Path(__file__).parent / "peers" / "emitter.py"
_WATCH = "/taskgrove.v1.TaskService/WatchTask"


@dataclass(frozen=True, slots=True)
class Emission:
    """What an emitter writes: see its program."""

    lines: int
    rate: float = 0.0
    gate: str = ""
    cores: tuple[int, ...] = (CLIENT_CORE,)

    def write(self, path: Path) -> Path:
        """Writes it for the emitter, and makes the gate."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        if self.gate:
            with contextlib.suppress(FileNotFoundError):
                Path(self.gate).unlink()
            os.mkfifo(self.gate)
        return path

    def start(self) -> None:
        """Opens the gate as soon as the emitter has come to it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # ENXIO: nobody is there yet
                assert time.monotonic() < deadline, "the emitter did not come to its gate"
                time.sleep(0.01)
            else:
                return


class Server(Protocol):
    """A server that streams lines."""

    @property
    def pid(self) -> int:
        """Returns its process id."""
        ...

    def plan(self, name: str, lines: int, watchers: int, *, latencies: bool = False) -> Plan:
        """Returns how to receive a stream that has a name with this server."""
        ...


class Taskgroved:
    """The real server, whose Claude Code is the emitter, so that the emitter's output is the log itself."""

    def __init__(self, running: RunningServer, client: taskgrove.Client) -> None:
        self._running = running
        self._client = client
        self._token = (running.data / "token").read_text().strip()
        self._list = client.create_task_list("Lines", defaults=taskgrove.run_config(agent="claude"))

    @property
    def pid(self) -> int:
        """Returns its process id."""
        return self._running.pid

    @property
    def directory(self) -> Path:
        """Returns a directory that ends with the server."""
        return self._running.root

    def emit(self, emission: Emission) -> str:
        """Starts a task that writes lines; returns its id. One is started at a time."""
        emission.write(self._running.root / "emission.json")
        task = self._client.enqueue(self._list.id, "Write lines")
        deadline = time.monotonic() + PATIENCE
        while not list(self._client.list_runs(task.id)):
            assert time.monotonic() < deadline, "the task is not run"
            time.sleep(0.01)
        return task.id

    def log(self, lines: int) -> tuple[str, Path]:
        """Returns the id of a task that has written lines and rests, and its log."""
        task = self._client.wait(self.emit(Emission(lines)))
        (run,) = self._client.list_runs(task.id)
        assert task.state == taskgrove.Task.STATE_SUCCEEDED, task
        assert run.line_count == lines, run
        return task.id, Path(run.log_path)

    def cancel(self, task_id: str) -> None:
        """Ends a task that does not rest by itself."""
        self._client.cancel(task_id)
        self._client.wait(task_id)

    def plan(self, name: str, lines: int, watchers: int, *, latencies: bool = False) -> Plan:
        """Returns how to watch a task."""
        port = int(self._running.target.rpartition(":")[2])
        request = WatchTaskRequest(task_id=name).SerializeToString().hex()
        return Plan("grpc", port, _WATCH, lines, watchers, request, self._token, latencies)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's server; `path` is that of a stream without its name, for gRPC that of the method."""

    pid: int
    port: int
    path: str

    def plan(self, name: str, lines: int, watchers: int, *, latencies: bool = False) -> Plan:
        """Returns how to receive a log or `live`."""
        if self.path != _WATCH:
            return Plan("sse", self.port, f"{self.path}/{name}", lines, watchers, latencies=latencies)
        request = WatchTaskRequest(task_id=name).SerializeToString().hex()
        return Plan("grpc", self.port, self.path, lines, watchers, request, latencies=latencies)

    def at(self, path: str) -> Peer:
        """Returns the same server with another path."""
        return Peer(self.pid, self.port, path)


@contextlib.contextmanager
def taskgroved(*flags: str) -> Generator[Taskgroved, None, None]:
    """Runs taskgroved, served over TCP like its peers."""
    running = RunningServer(*flags, tcp=True)
    program = running.root / "claude"
    command = [sys.executable, "-I", "-S", str(_EMITTER), str(running.root / "emission.json")]
    program.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    program.chmod(0o755)
    try:
        running.start("--claude", str(program))
        sampling.pin(running.pid, SERVER_CORE)
        with running.client() as client:
            yield Taskgroved(running, client)
    finally:
        running.__exit__()


@contextlib.contextmanager
def bare_stream(logs: Mapping[str, Path], emission: Path | None = None) -> Generator[Peer, None, None]:
    """Runs a grpc.aio server that does nothing but stream."""
    with _peer("bare_stream", logs, emission, _WATCH) as peer:
        yield peer


@contextlib.contextmanager
def sse(logs: Mapping[str, Path], emission: Path | None = None) -> Generator[Peer, None, None]:
    """Runs a server of server-sent events, a line an event."""
    with _peer("sse", logs, emission, "/line") as peer:
        yield peer


@contextlib.contextmanager
def _peer(program: str, logs: Mapping[str, Path], emission: Path | None, path: str) -> Generator[Peer, None, None]:
    command = [sys.executable, "-m", f"benchmarks.peers.{program}"]
    command += [f"--log={name}={log}" for name, log in logs.items()]
    command += [f"--emit={emission}"] if emission else []
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], PATIENCE)[0], f"{program} does not serve"
            said = process.stdout.readline()
            assert said, f"{program} has ended"
            sampling.pin(process.pid, SERVER_CORE)
            yield Peer(process.pid, int(said), path)
        finally:
            # With its emitter, which may still be waiting at its gate.
            os.killpg(process.pid, signal.SIGKILL)
