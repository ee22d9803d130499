"""What a slot's thread is told while it works on a task."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Generator


class Detached(Exception):
    """The server shuts down: the thread leaves its task as it is, to be taken up by the next server."""


class Mailbox:
    """Flags that any thread may raise, and one thread waits for, together with other descriptors."""

    def __init__(self, *, cancelled: bool = False) -> None:
        self._awake, self._waker = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._waker, False)
        self._lock = threading.Lock()
        self._open = True
        self._interrupt: Callable[[], None] | None = None
        #: The task is to be cancelled.
        self.cancelled = cancelled
        #: The server shuts down, and leaves running agents alone.
        self.detached = False
        #: The server shuts down, and takes running agents with it.
        self.stopped = False

    def cancel(self) -> None:
        """Asks for the task's run to be stopped, for good."""
        with self._lock:
            self.cancelled = True
            if self._interrupt is not None:
                self._interrupt()
        self.nudge()

    @contextlib.contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Generator[None]:
        """Has `interrupt` called at a cancel while the thread does what it cannot be nudged from."""
        with self._lock:
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def detach(self) -> None:
        """Asks the thread to leave the task as it is."""
        self.detached = True
        self.nudge()

    def stop(self) -> None:
        """Asks for the task's run to be stopped because the server is."""
        self.stopped = True
        self.nudge()

    def nudge(self) -> None:
        """Wakes the thread, to look around."""
        with self._lock:
            if self._open:
                # Full: it has been nudged enough.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._waker, b"n")

    def wait(self, seconds: float | None, *descriptors: int) -> None:
        """Waits for a nudge, for one of `descriptors` to become readable, or for the time to pass."""
        poll = select.poll()
        for descriptor in (self._awake, *descriptors):
            poll.register(descriptor, select.POLLIN)
        poll.poll(None if seconds is None else max(0, round(seconds * 1000) + 1))
        with contextlib.suppress(BlockingIOError):
            os.read(self._awake, 4096)

    @property
    def told(self) -> bool:
        """Tells whether any flag is raised."""
        return self.cancelled or self.detached or self.stopped

    def pause(self, seconds: float) -> None:
        """Sleeps, unless something is raised."""
        end = time.monotonic() + seconds
        while not self.told and (rest := end - time.monotonic()) > 0:
            self.wait(rest)

    def close(self) -> None:
        """Closes the pipe; later nudges are for nobody."""
        with self._lock:
            self._open = False
            os.close(self._awake)
            os.close(self._waker)
