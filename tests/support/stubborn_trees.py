"""Directories that do not let themselves be removed, or only by those who take care."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from taskgrove_server.worktrees import removing

#: Runs a program without the rights that root has on all files.
NOBODY_SPECIAL = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner,-chown", "--inh-caps", "-all")


def nest(directory: Path, levels: int, name: str = "d") -> None:
    """Makes directories in one another, the last with a file in it; their paths may be longer than any call takes."""
    where = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(levels):
            os.mkdir(name, dir_fd=where)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=where)
            os.close(where)
            where = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=where))
    finally:
        os.close(where)


def mount(target: Path, source: Path | None = None) -> None:
    """Mounts a directory at another path, or a small disk; skips the test where that is not allowed."""
    target.mkdir(parents=True, exist_ok=True)
    what = ["--bind", str(source)] if source else ["-t", "tmpfs", "tmpfs"]
    if subprocess.run(["mount", *what, str(target)], capture_output=True, check=False).returncode:
        pytest.skip("mounting takes root")


def mounts(directory: Path) -> list[str]:
    """Returns the paths at and below a directory on which something is mounted, the innermost first."""
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    top = str(directory.resolve())
    return sorted((path for path in (f[4] for f in fields) if f"{path}/".startswith(f"{top}/")), reverse=True)


def protect(file: Path, flag: str = "+i") -> None:
    """Takes the right to change a file from everybody; skips the test where the file system cannot."""
    if subprocess.run(["chattr", flag, str(file)], capture_output=True, check=False).returncode:
        pytest.skip("chattr takes root, and a file system that has it")


@contextlib.contextmanager
def released(*directories: Path) -> Generator[None]:
    """Takes all mounts and protections off afterwards, and removes what pytest could not."""
    try:
        yield
    finally:
        for directory in directories:
            for path in mounts(directory):
                subprocess.run(["umount", "--lazy", path], check=True)
            if os.geteuid() == 0:
                subprocess.run(["chattr", "-R", "-f", "-ia", str(directory)], capture_output=True, check=False)
            if directory.exists():
                removing.remove(str(directory))
                # The place beside it has no other use in a test.
                with contextlib.suppress(OSError):
                    (directory.parent / ".removed").rmdir()
