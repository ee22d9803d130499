"""The programs of each client: the one that runs the scenarios of client/conformance, and the example."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.server import RunningServer

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "client"

#: Seconds within which a program has to be done, on a machine that does other things as well.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """The programs of one client. `scripts/build_clients.sh` builds those that are not Python."""

    conformance: tuple[str, ...]
    example: tuple[str, ...]

    def run(self, scenario: str, server: RunningServer, **parameters: Any) -> dict[str, Any]:
        """Runs a scenario against a server, and returns what the program saw."""
        with self.start(scenario, connection(server), **parameters) as running:
            return running.seen()

    def start(self, scenario: str, environment: Mapping[str, str], **parameters: Any) -> Running:
        """Starts a scenario in an environment that says where the server is."""
        given = {"TASKGROVE_PARAMETERS": json.dumps(parameters)}
        return Running([*self.conformance, scenario], ROOT, {**environment, **given})

    def show(self, server: RunningServer, directory: Path, title: str) -> tuple[str, str]:
        """Runs the example in a directory; returns what it wrote on stdout and stderr."""
        with Running([*self.example, title], directory, connection(server)) as running:
            return running.output()


#: The programs of each client, by its name.
PROGRAMS: Mapping[str, Program] = {
    "python": Program(
        conformance=(sys.executable, f"{CLIENT}/conformance/python_sync.py"),
        example=(sys.executable, f"{CLIENT}/python/example.py"),
    ),
    "asyncio": Program(
        conformance=(sys.executable, f"{CLIENT}/conformance/python_asyncio.py"),
        example=(sys.executable, f"{CLIENT}/python/example_asyncio.py"),
    ),
    "typescript": Program(
        conformance=("node", f"{CLIENT}/typescript/dist/src/conformance.js"),
        example=("node", f"{CLIENT}/typescript/dist/src/example.js"),
    ),
    "cpp": Program(
        conformance=(f"{CLIENT}/cpp/build/conformance",),
        example=(f"{CLIENT}/cpp/build/example",),
    ),
}


def connection(server: RunningServer, target: str | None = None) -> dict[str, str]:
    """Returns the variables that say where the server is, and what lets a program in; `target` replaces its address."""
    return {
        "TASKGROVE_TARGET": target or server.target,
        "TASKGROVE_TOKEN": (server.data / "token").read_text().strip(),
    }


class Running:
    """A program that was started; it is ended at the latest when the block is left."""

    def __init__(self, command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
        # Nothing else of the caller's environment: a proxy or a target that is set there is not meant.
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def output(self) -> tuple[str, str]:
        """Waits for the program's success, and returns what it wrote on stdout and stderr."""
        outputs = self._process.communicate(timeout=PATIENCE)
        stdout, stderr = (output.decode(errors="replace") for output in outputs)
        assert self._process.returncode == 0, stderr
        return stdout, stderr

    def seen(self) -> dict[str, Any]:
        """Waits for the end of a scenario, and returns what the program saw."""
        seen: dict[str, Any] = json.loads(self.output()[0])
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
