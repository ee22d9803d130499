"""A file descriptor that tells of a process's end."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable

#: Seconds after which it is looked again whether a process has ended, where that could not be told.
_PAUSE = 1.0


def watch(pid: int, wait: Callable[[], object]) -> int:
    """Returns a descriptor that polls readable from when the process has ended; raises ProcessLookupError.

    Where the system has none of its own (macOS, Linux before 5.3), a thread provides it: `wait` has to return
    when the process has ended. Raises OSError when the machine is short of descriptors or threads.
    """
    if hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError as error:
            if error.errno not in {errno.ENOSYS, errno.EPERM}:  # EPERM: forbidden by an old container's filter
                raise
    return by_thread(wait)


def by_thread(wait: Callable[[], object]) -> int:
    """Returns a descriptor that polls readable from when `wait` has returned.

    When it raises, nothing is known of the process, and it is called again; FileNotFoundError says that there is
    nothing to wait for.
    """
    readable, writable = os.pipe()

    def close_after_wait() -> None:
        while not _has_ended(wait):
            time.sleep(_PAUSE)
        os.close(writable)

    try:
        threading.Thread(target=close_after_wait, name="process-exit", daemon=True).start()
    except RuntimeError as error:
        os.close(readable)
        os.close(writable)
        raise BlockingIOError(errno.EAGAIN, "No thread can be started to wait for a process") from error
    return readable


def _has_ended(wait: Callable[[], object]) -> bool:
    try:
        with contextlib.suppress(FileNotFoundError):
            wait()
    except Exception:  # noqa: BLE001 -- whatever it is, the process may be alive
        return False
    return True
