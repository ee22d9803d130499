"""Removes directories, as far as they let themselves be removed.

A directory is set aside first, in one step, so that nobody ever sees half of it. There it is emptied level by level:
each directory inside is moved up to the top before it is looked into. So neither depth nor the length of paths matter
(git takes paths of 4096 bytes and Python recurses a thousand times; agents make more), and nothing below a mount is
deleted, because a mount point cannot be moved, not even a bind mount of the same file system.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from taskgrove_server.worktrees import aside

#: How often a directory is looked through that was emptied and is not empty.
_ATTEMPTS = 3

#: Reasons that are kept of what resists.
_REASONS = 5

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Leftover:
    """What could not be removed: where it is, how many things resist, and why the first of them do."""

    path: str
    count: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        more = self.count - len(self.reasons)
        return "; ".join((*self.reasons, *([f"and {more} more"] if more else [])))


class Busy(Exception):
    """Another thread removes the same."""


def remove(directory: str) -> Leftover | None:
    """Removes a directory, or whatever is at this path, and returns what is left of it.

    Raises RemovalRefused when it cannot be set aside; then nothing of it has changed.
    """
    try:
        return clear(aside.put(directory))
    except FileNotFoundError:
        return None


def clear_all(directory: str, *, stopped: Callable[[], bool] = lambda: False) -> Leftover | None:
    """Removes all that was set aside from a path, now or before, and returns what is left of the newest of it.

    `stopped` as for `clear`.
    """
    leftovers = [clear(place, stopped=stopped) for place in aside.of(directory)]
    return next((leftover for leftover in reversed(leftovers) if leftover), None)


def clear(place: str, *, waits: bool = True, stopped: Callable[[], bool] = lambda: False) -> Leftover | None:
    """Removes what was set aside, and returns what is left of it; None when all of it is gone.

    What a killed server has begun is gone on with. `stopped` is asked before each directory. Raises Busy, without
    `waits`, when somebody else is about it.
    """
    tree = _Tree(place, stopped)
    try:
        tree.remove(waits=waits)
    except FileNotFoundError:
        # By another thread.
        return None
    except OSError as error:
        tree.leave("", error)
    return Leftover(place, tree.count, tuple(tree.reasons)) if tree.count else None


@dataclass(slots=True)
class _Tree:
    """A directory that was set aside, while it is emptied."""

    place: str
    stopped: Callable[[], bool]
    count: int = 0
    reasons: list[str] = field(default_factory=list[str])
    #: The descriptor of the top.
    top: int = -1
    #: Names of directories in the top that are to be removed.
    waiting: list[str] = field(default_factory=list[str])
    #: Names that nothing in the top has.
    free: Iterator[str] = field(default_factory=lambda: iter(()))

    def remove(self, *, waits: bool) -> None:
        if not stat.S_ISDIR(os.lstat(self.place).st_mode):
            os.unlink(self.place)  # noqa: PTH108 - as everything here
            return
        with _opened(self.place) as self.top:
            _lock(self.top, waits=waits)
            taken = set(os.listdir(self.top))  # noqa: PTH208 - of a descriptor
            self.free = (name for number in itertools.count() if (name := str(number)) not in taken)
            self._empty(self.top, "")
            while self.waiting:
                if self.stopped():
                    self.leave("", OSError(errno.EINTR, "the server stopped"))
                    return
                self._remove_directory(self.waiting.pop())
        if not self.count:
            os.rmdir(self.place)  # noqa: PTH106

    def leave(self, name: str, error: OSError) -> None:
        """Notes that something stays."""
        self.count += 1
        if len(self.reasons) < _REASONS:
            self.reasons.append(f"{self.place}{name}: {_why(error)}")

    def _remove_directory(self, name: str) -> None:
        error = OSError(errno.ENOTEMPTY, "something writes to it")
        for _ in range(_ATTEMPTS):
            try:
                with _opened(name, self.top) as directory:
                    before = self.count
                    self._empty(directory, f"/{name}")
                    if self.count > before:
                        return
                os.rmdir(name, dir_fd=self.top)
            except FileNotFoundError:
                return
            except OSError as failed:
                if failed.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    error = failed
                    break
            else:
                return
        self.leave(f"/{name}", error)

    def _empty(self, directory: int, path: str) -> None:
        """Removes the files of a directory, and moves the directories in it up."""
        with os.scandir(directory) as entries:
            # All at once: what is made and removed meanwhile may or may not be in the rest.
            found = list(entries)
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    self._move_up(entry.name, directory)
                else:
                    os.unlink(entry.name, dir_fd=directory)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.leave(f"{path}/{entry.name}", error)

    def _move_up(self, name: str, directory: int) -> None:
        moved = next(self.free)
        try:
            self._rename(name, directory, moved)
        except PermissionError:
            # One of another user goes if it is empty.
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError:
                pass
            else:
                return
            raise
        if directory == self.top:
            # It was moved only to see that nothing is mounted on it: where something stays, people look for it.
            os.rename(moved, name, src_dir_fd=self.top, dst_dir_fd=self.top)
            moved = name
        self.waiting.append(moved)

    def _rename(self, name: str, directory: int, moved: str) -> None:
        try:
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.top)
        except PermissionError:
            _unshut(name, directory)
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.top)


@contextmanager
def _opened(name: str, parent: int | None = None) -> Generator[int]:
    """Opens a directory, never through a link, with all rights to it that can be had."""
    try:
        descriptor = os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _unshut(name, parent)
        descriptor = os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)
    try:
        mode = os.fstat(descriptor).st_mode
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            with suppress(PermissionError):
                os.fchmod(descriptor, stat.S_IRWXU)
        yield descriptor
    finally:
        os.close(descriptor)


def _unshut(name: str, parent: int | None) -> None:
    """Gives the right to read and write a directory that has neither, never through a link."""
    descriptor = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=parent)
    try:
        # The descriptor of such a directory takes no fchmod.
        os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)  # noqa: PTH101
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, waits: bool) -> None:
    """Keeps others from removing the same; the system takes the lock from a server that is killed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy from error
    except OSError:
        # Not every network file system has locks.
        pass


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EBUSY:
            return "something is mounted on it, or uses it"
        case errno.EACCES | errno.EPERM:
            return f"{error.strerror}: it is another user's, or protected (chattr)"
        case _:
            return error.strerror or str(error)
