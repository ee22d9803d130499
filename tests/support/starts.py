"""Servers that cannot start, and what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.server import PATIENCE


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server ended by itself."""

    status: int
    stderr: str
    stdout: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server of the test's own keeps its things; a short path, for the sake of its socket."""

    root: Path
    data_directory: Path | None = None

    @property
    def data(self) -> Path:
        """Returns the server's data directory."""
        return self.data_directory or self.root / "data"

    def run(self, *flags: str, **environment: str) -> Ended:
        """Runs a server that has to end by itself."""
        ended = subprocess.run(
            [sys.executable, "-m", "taskgrove_server", *flags],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(ended.returncode, ended.stderr, ended.stdout)

    def refusal(self, *flags: str, **environment: str) -> str:
        """Runs a server that cannot start, and returns the one sentence that it says."""
        ended = self.run("--data-dir", str(self.data), "--log-level", "error", *flags, **environment)
        assert (ended.status, ended.stdout) == (1, ""), ended.stderr
        (line,) = ended.stderr.splitlines()
        assert line.startswith("taskgroved: ")
        return line.removeprefix("taskgroved: ")
