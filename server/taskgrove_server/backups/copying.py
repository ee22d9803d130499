"""Copies files by blocks, with the checksum of what was copied. No symbolic link is ever followed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Bytes that are copied at a time.
_BLOCK = 1 << 20

#: To open a pipe must not have us wait for who writes to it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of a file."""

    size: int
    sha256: str
    mode: int


def open_file(path: str | Path, *, within: int | None = None) -> int | None:
    """Opens a file, of the directory that `within` is open of; None when there is something else at that path.

    Raises OSError.
    """
    descriptor = os.open(path, _READ, dir_fd=within)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def copy(source: int, target: Path, copied: Callable[[int], None]) -> Copied:
    """Copies an open file to a new one that only its owner can read; as much as it has at this moment.

    `copied` is told of each block. The new file has the time of the old one.
    """
    state = os.fstat(source)
    output = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        digest = hashlib.sha256()
        done = 0
        while done < state.st_size and (block := os.read(source, min(_BLOCK, state.st_size - done))):
            digest.update(block)
            if block.count(0) == len(block):
                # A hole stays one.
                os.lseek(output, len(block), os.SEEK_CUR)
            else:
                _write(output, block)
            done += len(block)
            copied(len(block))
        os.ftruncate(output, done)
        os.utime(output, ns=(state.st_atime_ns, state.st_mtime_ns))
    finally:
        os.close(output)
    return Copied(done, digest.hexdigest(), stat.S_IMODE(state.st_mode) & 0o777)


def _write(target: int, block: bytes) -> None:
    data = memoryview(block)
    while data:
        data = data[os.write(target, data) :]


def checksum(path: Path) -> Copied:
    """Returns what a copy of a file would be."""
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        return Copied(state.st_size, hashlib.file_digest(file, "sha256").hexdigest(), stat.S_IMODE(state.st_mode))


def sync(path: Path) -> int:
    """Makes a file or directory durable, and returns its size."""
    descriptor = os.open(path, _READ)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def sync_directories(root: Path) -> None:
    """Makes the names in a directory, and in all below, durable."""
    for path in _directories(root):
        sync(path)


def _directories(root: Path) -> Iterator[Path]:
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as entries:
            waiting.extend(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        yield directory
