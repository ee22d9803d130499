"""Disks that are small, or cannot be written, and are really mounted."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(path: Path, size: str, *, files: int = 0) -> Generator[Path]:
    """Mounts a disk of a size such as "256k" or "16m" at a path; skips the test where that is not allowed.

    It has room for so many `files`; 0: for as many as fit.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={size},mode=0700,nr_inodes={files}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield path
    finally:
        # What still runs on it when a test fails must not keep the test's own error from being seen.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def resize(disk: Path, size: str) -> None:
    """Gives a mounted disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextlib.contextmanager
def read_only(path: Path) -> Generator[None]:
    """Makes a disk that nobody writes to at the moment read-only."""
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(path)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Generator[Path]:
    """Takes all the room that is left on a disk, but for no byte, until it is left; yields the file that does."""
    fill = disk / "fill"
    with fill.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
    room = os.statvfs(disk)
    assert room.f_bavail == 0, f"{room.f_bavail} blocks are left on {disk}"
    try:
        yield fill
    finally:
        fill.unlink(missing_ok=True)


@contextlib.contextmanager
def without_files(disk: Path) -> Generator[None]:
    """Takes all the room for files that is left on a disk, though not for bytes, until it is left."""
    fill = disk / "files"
    fill.mkdir()
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (fill / str(number)).touch()
    try:
        yield
    finally:
        shutil.rmtree(fill)
