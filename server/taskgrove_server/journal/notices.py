"""Notices of file growth: inotify on Linux, a short nap elsewhere."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
from typing import Protocol

_IN_MODIFY = 0x00000002
_IN_Q_OVERFLOW = 0x00004000
_HEADER = struct.Struct("iIII")

#: Seconds between two looks at all files where there are no notices.
NAP = 0.02


class Notices(Protocol):
    """Tells which of the added files may have grown. Thread-safe, except that one thread waits."""

    def add(self, path: str) -> int:
        """Starts to watch a file that exists; returns its key."""
        ...

    def remove(self, key: int) -> None:
        """Stops to watch a file."""
        ...

    def wait(self, *, block: bool) -> set[int] | None:
        """Returns the keys of files that may have grown, None for all of them; waits for one if told to."""
        ...

    def wake(self) -> None:
        """Makes `wait` return early."""
        ...

    def close(self) -> None:
        """Gives back what the kernel lent."""
        ...


class Inotify:
    """Notices from the Linux kernel, which cost nothing while files rest."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def add(self, path: str) -> int:
        """Starts to watch a file."""
        return self._check(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY))

    def remove(self, key: int) -> None:
        """Stops to watch a file. One that was deleted is no longer watched already."""
        self._libc.inotify_rm_watch(self._fd, key)

    def wait(self, *, block: bool) -> set[int] | None:
        """Asks the kernel, or waits for it or for `wake`."""
        grown: set[int] = set()
        for fd, _ in self._poll.poll(None if block else 0):
            if fd == self._wake:
                os.eventfd_read(fd)
                continue
            events = os.read(fd, 65536)
            offset = 0
            while offset < len(events):
                key, mask, _, name_length = _HEADER.unpack_from(events, offset)
                offset += _HEADER.size + name_length
                if mask & _IN_Q_OVERFLOW:
                    return None
                grown.add(key)
        return grown

    def wake(self) -> None:
        """Makes `wait` return early."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Closes both descriptors."""
        os.close(self._fd)
        os.close(self._wake)

    def _check(self, result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify: {os.strerror(code)}")
        return result


class Naps:
    """No notices: all files are looked at again after a nap."""

    def __init__(self) -> None:
        self._awake, self._waker = os.pipe()
        self._key = 0

    def add(self, path: str) -> int:  # noqa: ARG002 - every file is looked at
        """Returns a key."""
        self._key += 1
        return self._key

    def remove(self, key: int) -> None:
        """Does nothing."""

    def wait(self, *, block: bool) -> set[int] | None:
        """Naps, unless woken."""
        ready, _, _ = select.select([self._awake], [], [], NAP if block else 0)
        if ready:
            os.read(self._awake, 4096)
        return None

    def wake(self) -> None:
        """Ends the nap."""
        os.write(self._waker, b"w")

    def close(self) -> None:
        """Closes the pipe."""
        os.close(self._awake)
        os.close(self._waker)


def open_notices() -> Notices:
    """Returns the best that the system has."""
    return Inotify() if sys.platform == "linux" else Naps()
