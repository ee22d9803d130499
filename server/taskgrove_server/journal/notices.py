"""Notices of file growth: inotify on Linux, a short nap wherever the kernel has none or no more of them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Iterable

log = logging.getLogger(__name__)

_IN_MODIFY = 0x00000002
_IN_Q_OVERFLOW = 0x00004000
_HEADER = struct.Struct("iIII")

#: Seconds between two looks at the files that the kernel tells nothing of.
NAP = 0.02

#: What inotify's errors mean, which have the words of other shortages.
_SHORTAGES = {
    errno.ENOSPC: "the user's inotify watches are used up (fs.inotify.max_user_watches)",
    errno.EMFILE: "the user's inotify instances (fs.inotify.max_user_instances) or open files are used up",
}


class Inotify:
    """Notices from the Linux kernel, which cost nothing while files rest. Every method may raise OSError.

    All programs of a user share what there is: `fs.inotify.max_user_instances`, often 128, and `max_user_watches`.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, path: str) -> int:
        """Starts to watch a file; returns the watch, which is the same for a file that is watched already."""
        return self._check(self._libc.inotify_add_watch(self.fd, os.fsencode(path), _IN_MODIFY))

    def remove(self, watch: int) -> None:
        """Stops to watch a file. One that was deleted is no longer watched already, which is an error."""
        self._check(self._libc.inotify_rm_watch(self.fd, watch))

    def read(self) -> set[int] | None:
        """Returns the watches of files that have grown, None when the kernel has lost count."""
        grown: set[int] = set()
        events = os.read(self.fd, 65536)
        offset = 0
        while offset < len(events):
            watch, mask, _, name_length = _HEADER.unpack_from(events, offset)
            offset += _HEADER.size + name_length
            if mask & _IN_Q_OVERFLOW:
                return None
            grown.add(watch)
        return grown

    def close(self) -> None:
        """Gives back what the kernel lent."""
        os.close(self.fd)

    def _check(self, result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify: {os.strerror(code)}")
        return result


class Notices:
    """Tells which of the added files may have grown. Thread-safe, except that one thread waits.

    A file that the kernel takes no watch of is looked at again after a nap; the next one is asked for anew.
    """

    def __init__(self) -> None:
        self._awake, self._waker = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._waker, False)
        self._lock = threading.Lock()
        self._inotify: Inotify | None = None
        self._last_key = 0
        self._key_of: dict[int, int] = {}
        self._watch_of: dict[int, int] = {}
        self._napping: set[int] = set()
        self._next_look = 0.0

    def add(self, path: str) -> int:
        """Starts to watch a file that exists; returns its key."""
        with self._lock:
            self._last_key += 1
            key = self._last_key
            try:
                watch = self._opened().add(path)
            except OSError as error:
                self._nap(error, {key})
            else:
                self._key_of[watch] = key
                self._watch_of[key] = watch
        # Whoever waits may know nothing of the nap, or of inotify, yet.
        self.wake()
        return key

    def remove(self, key: int) -> None:
        """Stops to watch a file."""
        with self._lock:
            self._napping.discard(key)
            watch = self._watch_of.pop(key, None)
            # Added again, it is watched for the later key.
            if watch is None or self._key_of.get(watch) != key:
                return
            del self._key_of[watch]
            if self._inotify is not None:
                with contextlib.suppress(OSError):
                    self._inotify.remove(watch)

    def wait(self, *, block: bool) -> set[int]:
        """Returns the keys of files that may have grown; waits for one, or for `wake`, if told to."""
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        with self._lock:
            inotify = self._inotify
            rest = max(0.0, self._next_look - time.monotonic()) if self._napping else None
        if inotify is not None:
            poll.register(inotify.fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll((None if rest is None else round(rest * 1000) + 1) if block else 0)}
        if self._awake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._awake, 4096)
        with self._lock:
            grown = self._noticed(inotify) if inotify is not None and inotify.fd in ready else set[int]()
            if self._napping and time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + NAP
                grown |= self._napping
        return grown

    def wake(self) -> None:
        """Makes `wait` return early."""
        # Full: it has been woken enough.
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"w")

    def close(self) -> None:
        """Closes all descriptors."""
        os.close(self._awake)
        os.close(self._waker)
        if self._inotify is not None:
            self._inotify.close()

    def _opened(self) -> Inotify:
        if sys.platform != "linux":
            raise OSError("there is no inotify on this system")
        if self._inotify is None:
            self._inotify = Inotify()
        return self._inotify

    def _nap(self, error: OSError, keys: Iterable[int]) -> None:
        if sys.platform == "linux" and not self._napping:
            why = _SHORTAGES.get(error.errno or 0, str(error))
            log.warning("Logs that begin now are looked at every %d ms: %s", 1000 * NAP, why)
        self._napping.update(keys)

    def _noticed(self, inotify: Inotify) -> set[int]:
        try:
            watches = inotify.read()
        except BlockingIOError:
            return set()
        except OSError as error:
            self._nap(error, self._watch_of.keys())
            self._key_of.clear()
            self._watch_of.clear()
            self._inotify = None
            with contextlib.suppress(OSError):
                inotify.close()
            return set(self._napping)
        if watches is None:
            return set(self._watch_of)
        return {self._key_of[watch] for watch in watches if watch in self._key_of}
