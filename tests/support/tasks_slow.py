"""Repositories and programs that do not answer."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Self


class Stalled:
    """Has git wait in a repository for as long as this lives: its configuration includes a pipe that nobody fills."""

    def __init__(self, repository: Path) -> None:
        self._config = repository / ".git/config"
        self._before = self._config.read_bytes()
        self.pipe = repository / ".git/pipe"

    def __enter__(self) -> Self:
        os.mkfifo(self.pipe)
        self._config.write_bytes(self._before + f"[include]\n\tpath = {self.pipe}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._config.write_bytes(self._before)
        # Those that wait get to the end of it.
        os.close(os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK))
        self.pipe.unlink()


def program(path: Path, script: str) -> Path:
    """Makes a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(stat.S_IRWXU)
    return path
