"""A file descriptor that tells of a process's end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable


def watch(pid: int, wait: Callable[[], object]) -> int:
    """Returns a descriptor that polls readable from when the process has ended; raises ProcessLookupError.

    Where the system has none of its own (macOS, Linux before 5.3), a thread provides it: `wait` has to return
    when the process has ended.
    """
    if hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError as error:
            if error.errno not in {errno.ENOSYS, errno.EPERM}:  # EPERM: forbidden by an old container's filter
                raise
    return by_thread(wait)


def by_thread(wait: Callable[[], object]) -> int:
    """Returns a descriptor that polls readable from when `wait` has returned."""
    readable, writable = os.pipe()

    def close_after_wait() -> None:
        try:
            wait()
        finally:
            os.close(writable)

    threading.Thread(target=close_after_wait, name="process-exit", daemon=True).start()
    return readable
