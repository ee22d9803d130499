"""The clients of a benchmark, as processes of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from benchmarks import sampling
from benchmarks.peers.plan import Plan

ROOT = Path(__file__).parents[1]

#: Seconds within which a client has to be done, however slow its server is.
PATIENCE = 60.0

#: Where clients and emitters run, apart from the servers.
CLIENT_CORE = 0


@dataclass(frozen=True, slots=True)
class Received:
    """What came of one run, as the client saw it."""

    #: From the first receipt to the last.
    seconds: float
    deliveries: int
    #: What went wrong, in words, and how many watchers did not get all lines.
    faults: list[str]
    short: int
    #: Seconds of processor time of the client.
    cpu: float
    #: Milliseconds from write to receipt; only where they were wanted.
    p50: float = 0.0
    p99: float = 0.0


class ReceiverFailed(Exception):
    """A client did not do what it was to; the message says what it was waiting for."""


class Receiver:
    """A client process. `pid` may be stopped or killed as part of a measurement."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.receiver", json.dumps(asdict(plan))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        sampling.pin(self.pid, CLIENT_CORE)
        self._said = b""

    def connect(self) -> Self:
        """Waits until every watcher is connected."""
        assert self._hear() == "connected"
        return self

    def request(self) -> Self:
        """Lets the watchers send their requests."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        return self

    def open(self) -> Self:
        """Waits until all requests have been answered."""
        assert self._hear() == "opened"
        return self

    def result(self) -> Received:
        """Waits for the end of all streams."""
        return Received(**json.loads(self._hear()))

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._said:
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise ReceiverFailed(f"silent for {PATIENCE:g} s: {self._plan}")
            if not (block := os.read(pipe, 65536)):
                raise ReceiverFailed(f"the client has ended: {self._plan}")
            self._said += block
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()
