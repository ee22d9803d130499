"""The supervisor's ends of the agent's standard input and standard error. Neither ever blocks."""

from __future__ import annotations

import contextlib
import os
import select

from taskgrove_server.processes import files

_CHUNK = 64 * 1024


class Input:
    """Feeds an agent's standard input as fast as the agent reads it."""

    def __init__(self, poll: select.poll, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        poll.register(descriptor, 0)
        self.descriptor = descriptor
        self._poll = poll
        self._waiting = bytearray()
        self._open = True
        self._ending = False

    @property
    def takes_more(self) -> bool:
        """Tells whether what is written now may still reach the agent."""
        return self._open and not self._ending

    def write(self, data: bytes) -> None:
        """Queues bytes for the agent; drops them if its standard input is closed or about to be."""
        if self.takes_more:
            self._waiting += data
            self._flush()

    def end(self) -> None:
        """Closes as soon as the agent has taken what is queued."""
        if self._open:
            self._ending = True
            self._flush()

    def ready(self, events: int) -> None:
        """Goes on after what poll() reported."""
        if not self._open:  # by a message that poll() reported together with this
            return
        if events & select.POLLOUT:
            self._flush()
        else:  # by the agent
            self._close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self.descriptor, self._waiting[:_CHUNK])]
        except BlockingIOError:
            self._poll.modify(self.descriptor, select.POLLOUT)
        except BrokenPipeError:
            self._close()
        else:
            if self._ending:
                self._close()
            else:
                self._poll.modify(self.descriptor, 0)

    def _close(self) -> None:
        self._poll.unregister(self.descriptor)
        os.close(self.descriptor)
        self._waiting.clear()
        self._open = False


class Errors:
    """Drains an agent's standard error and keeps its end, in memory and in the run directory.

    The file there is the supervisor's own standard error: it also holds why a supervisor failed, and it is there
    when a supervisor is killed. While the agent is running it takes at most twice the limit.
    """

    _FILE = 2

    def __init__(self, poll: select.poll, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        poll.register(descriptor, select.POLLIN)
        self.descriptor = descriptor
        self._poll = poll
        self._open = True
        self._kept = bytearray()
        self._filed = 0

    def ready(self, _events: int) -> None:
        """Takes a chunk of what there is."""
        self._take()

    def finish(self) -> None:
        """Takes what is left when all who wrote have ended, and cuts the file to the limit."""
        # Bounded, because somebody whom the sweep could not end may go on writing.
        for _ in range(64):
            if not self._open or not self._take():
                break
        if self._filed > files.STDERR_LIMIT:
            self._rewrite()

    def _take(self) -> bool:
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._poll.unregister(self.descriptor)
            os.close(self.descriptor)
            self._open = False
            return False
        self._kept += data
        del self._kept[: -files.STDERR_LIMIT]
        self._filed += len(data)
        if self._filed > 2 * files.STDERR_LIMIT:
            self._rewrite()
        else:
            _write(self._FILE, data)
        return True

    def _rewrite(self) -> None:
        try:
            os.ftruncate(self._FILE, 0)
        except OSError:
            return
        _write(self._FILE, self._kept)
        self._filed = len(self._kept)


def _write(descriptor: int, data: bytes | bytearray) -> None:
    """Writes what the disk takes: an agent does not fail because its complaints cannot be kept."""
    with contextlib.suppress(OSError):
        os.write(descriptor, data)
