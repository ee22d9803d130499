"""A git that notes what it is asked, so that a test can count the questions of a server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path


class CountingGit:
    """A directory for the front of PATH, with a `git` that notes each command and then is the real one."""

    def __init__(self, directory: Path) -> None:
        real = shutil.which("git")
        assert real is not None
        directory.mkdir(parents=True)
        self._noted = directory / "noted"
        wrapper = directory / "git"
        # One write of one line each, so that two at a time do not mix.
        wrapper.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$(printf "%s " "$@" | tr "\\n" " ")" >> {self._noted}\nexec {real} "$@"\n'
        )
        wrapper.chmod(0o755)
        self.environment: Mapping[str, str] = {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}

    @contextmanager
    def counted(self) -> Generator[list[str]]:
        """Yields a list that holds, after the block, what git was asked inside: a line each, settings left out."""
        before = len(self._lines())
        asked: list[str] = []
        yield asked
        asked += self._lines()[before:]

    def _lines(self) -> list[str]:
        if not self._noted.exists():
            return []
        return [_without_settings(line) for line in self._noted.read_text(errors="replace").splitlines()]


def _without_settings(line: str) -> str:
    words = iter(line.split())
    kept: list[str] = []
    for word in words:
        if word in ("-c", "-C"):
            next(words, None)
        else:
            kept.append(word)
    return " ".join(kept)
