"""The supervisor's ends of the agent's standard input, output and error. None ever blocks."""

from __future__ import annotations

import contextlib
import math
import os
import select
import time

from taskgrove_server.processes import files
from taskgrove_server.processes.log_file import LogFile
from taskgrove_server.processes.times import Times

_CHUNK = 64 * 1024

#: What the longest pipe holds that anybody but root may ask for, in bytes.
_LONGEST_PIPE = 1024 * 1024

#: Seconds after which a disk that had no room for output is tried again.
_INTERVAL = 0.25


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


class Output:
    """Moves what an agent prints into its log, and reads no more of it while the disk takes no more.

    An agent whose output is not read waits in its next write: nothing is lost, and it goes on when there is room. But
    one that waits heeds no signal except SIGKILL. So what is beyond the log's limit, or has no room once the run is
    being stopped, is read and dropped.
    """

    def __init__(self, poll: select.poll, descriptor: int, log: LogFile, times: Times) -> None:
        os.set_blocking(descriptor, False)
        poll.register(descriptor, select.POLLIN)
        self.descriptor = descriptor
        #: Something was dropped because it was beyond the limit.
        self.beyond_limit = False
        #: Something was dropped because there was no room for it.
        self.cut_off = False
        #: When to try again, by the monotonic clock, what there was no room for; infinite while there is.
        self.next_try = math.inf
        self._poll = poll
        self._log = log
        self._times = times
        # One for all blocks, of what a pipe holds. Longer pipes are no faster, and a user has few pages for them.
        self._buffer = memoryview(bytearray(_CHUNK))
        self._waiting = self._buffer[:0]
        self._patient = True
        self._open = True
        #: Bytes that may still be read once all who wrote have ended.
        self._left = _LONGEST_PIPE

    def ready(self, _events: int) -> None:
        """Takes a block of what there is."""
        self._take()

    def retry(self) -> None:
        """Tries again, if it is time, what there was no room for."""
        if time.monotonic() >= self.next_try:
            self._write()

    def hurry(self) -> None:
        """Waits for room no longer, because the run is to be stopped."""
        self._patient = False
        self._log.end()
        if self._waiting:
            self._write()

    def finish(self) -> bool:
        """Takes what is left when all who wrote have ended; tells whether all of it is in the log, or dropped."""
        self._log.end()
        # Bounded, because somebody whom the sweep could not end may go on writing.
        while self._left > 0 and self._open and self.next_try == math.inf and (taken := self._take()):
            self._left -= taken
        if self._waiting and self.next_try == math.inf:
            self._write(last=True)
        return not self._waiting

    def _take(self) -> int:
        kept = len(self._waiting)
        self._buffer[:kept] = self._waiting
        try:
            taken = os.readv(self.descriptor, [self._buffer[kept:]])
        except BlockingIOError:
            return 0
        finally:
            self._waiting = self._buffer[:kept]
        if taken:
            self._waiting = self._buffer[: kept + taken]
            self._write()
        else:
            self._poll.unregister(self.descriptor)
            os.close(self.descriptor)
            self._open = False
        return taken

    def _write(self, *, last: bool = False) -> None:
        if self.next_try == math.inf:
            self._times.printed()
        else:
            self._times.waited()
        while self._waiting and not self.beyond_limit and not self.cut_off:
            in_part = last or len(self._waiting) == len(self._buffer)
            fitting = self._log.fitting(self._waiting, in_part=in_part)
            if not fitting and not in_part and len(self._waiting) <= self._log.left:
                # Near the limit, a line is kept until its end is there.
                self._go_on()
                return
            if not fitting:
                self.beyond_limit = True
            elif written := self._log.append(fitting):
                self._waiting = self._waiting[written:]
            elif self._patient:
                self._pause()
                return
            else:
                self.cut_off = True
        self._waiting = self._buffer[:0]
        self._go_on()

    def _pause(self) -> None:
        if self.next_try == math.inf and self._open:
            # Not only without POLLIN: poll() would tell again and again that the agent has ended.
            self._poll.unregister(self.descriptor)
        self.next_try = time.monotonic() + _INTERVAL

    def _go_on(self) -> None:
        if self.next_try != math.inf and self._open:
            self._poll.register(self.descriptor, select.POLLIN)
        self.next_try = math.inf


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
