"""Copies a directory in which agents may be at work: whatever changes meanwhile is taken as it is met.

Each directory is opened within the one above it, so that nobody can have us follow a symbolic link that was put in
its place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from taskgrove_server.backups import copying, file_list
from taskgrove_server.backups.file_list import Entry

#: Levels of directories that are gone down. Each takes two descriptors.
_DEEPEST = 200

#: Bytes of the longest path: where it is restored, the directory may have a longer name.
_LONGEST = 3500

#: How many of those that are left out are named.
_NAMED = 10

#: What has gone, or become something else, between the look at its name and the opening.
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL}


@dataclass(slots=True)
class LeftOut:
    """What could not be copied: how many, and the first of them with the reason."""

    count: int = 0
    named: list[str] = field(default_factory=list[str])

    def add(self, path: str, reason: str) -> None:
        """Takes down one."""
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(f"{path} ({reason})")


class TreeCopy:
    """Copies into the directory `root`, and tells `add` of each entry."""

    def __init__(self, root: Path, add: Callable[[Entry], None], copied: Callable[[int], None]) -> None:
        self._root = root
        self._add = add
        self._copied = copied
        self.left_out = LeftOut()

    def copy(self, source: Path, path: str) -> None:
        """Copies a directory with all that is in it; `path` is its path below the root. Nothing if it is gone."""
        self._copy_directory(None, os.fspath(source), path, depth=0)

    def _copy_directory(self, within: int | None, name: str, path: str, depth: int) -> None:
        if depth == _DEEPEST or len(os.fsencode(self._root / path)) > _LONGEST:
            self.left_out.add(path, "it lies too deep")
            return
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=within)
        except OSError as error:
            self._refused(path, error)
            return
        try:
            target = self._root / path
            target.mkdir(mode=0o700, parents=True)
            state = os.fstat(descriptor)
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._copy(descriptor, entry, f"{path}/{entry.name}", depth)
            self._add(Entry(path, file_list.DIRECTORY, stat.S_IMODE(state.st_mode) & 0o777))
        finally:
            os.close(descriptor)

    def _copy(self, within: int, entry: os.DirEntry[str], path: str, depth: int) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._copy_directory(within, entry.name, path, depth + 1)
        elif len(os.fsencode(self._root / path)) > _LONGEST:
            self.left_out.add(path, "its path is too long")
        elif entry.is_symlink():
            self._copy_link(within, entry.name, path)
        elif entry.is_file(follow_symlinks=False):
            self._copy_file(within, entry.name, path)
        # Sockets, pipes and devices hold nothing.

    def _copy_link(self, within: int, name: str, path: str) -> None:
        try:
            target = os.readlink(name, dir_fd=within)
        except OSError as error:
            self._refused(path, error)
            return
        (self._root / path).symlink_to(target)
        self._add(Entry(path, file_list.LINK, target=target))

    def _copy_file(self, within: int, name: str, path: str) -> None:
        try:
            descriptor = copying.open_file(name, within=within)
        except OSError as error:
            self._refused(path, error)
            return
        if descriptor is None:
            return
        try:
            copied = copying.copy(descriptor, self._root / path, self._copied)
        finally:
            os.close(descriptor)
        self._add(Entry(path, mode=copied.mode, size=copied.size, sha256=copied.sha256))

    def _refused(self, path: str, error: OSError) -> None:
        if error.errno in (errno.EACCES, errno.EPERM):
            self.left_out.add(path, "it cannot be read")
        elif error.errno not in _CHANGED:
            raise error
