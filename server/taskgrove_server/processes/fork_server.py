"""The process that supervisors are forked from, as the server holds it.

To start an interpreter takes longer than all else on the way to an agent's first line, git aside, and each holds 5 MB
of its own. A fork of a process that has everything imported takes a millisecond, and shares its memory.

Nothing depends on this process. A supervisor that it does not fork in time is started directly, in the same run
directory: should both come up, the directory's lock lets only one of them start the agent.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
from pathlib import Path

from taskgrove_server.processes import program

#: Seconds that a supervisor has to say that it is there. It takes a millisecond, or forty for the first one.
PATIENCE = 5.0


class ForkServer:
    """Keeps one such process, from `prepare` until `dismiss`, and replaces one that has ended. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def prepare(self) -> None:
        """Begins to keep a process. Supervisors are started without where that fails."""
        with self._lock:
            self._wanted = True
            self._renew()

    def fork(self, run_directory: Path, alive: int) -> bool:
        """Has a supervisor forked for a run; tells whether it is there and holds the lock of the run's directory.

        The supervisor keeps the descriptor `alive` open while it lives. If none has answered, one may come up all the
        same. Raises OSError when the server itself has no descriptors left.
        """
        heard, told = os.pipe()
        try:
            try:
                process = self._ask(os.fsencode(run_directory), [told, alive])
            finally:
                os.close(told)
            if process is None:
                return False
            poll = select.poll()
            poll.register(heard, select.POLLIN)
            if poll.poll(PATIENCE * 1000):
                # At its end, nobody is left who could answer.
                return bool(os.read(heard, 1))
            self._end(process)
            return False
        finally:
            os.close(heard)

    def dismiss(self) -> None:
        """Ends the process, and keeps none any more. The supervisors go on."""
        with self._lock:
            self._wanted = False
            process = self._process
        if process is not None:
            self._end(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)

    def _ask(self, message: bytes, descriptors: list[int]) -> subprocess.Popen[bytes] | None:
        """Returns the process that was asked, None when there is none."""
        with self._lock, contextlib.suppress(OSError):
            self._renew()
            if self._channel is not None:
                # Without waiting: if it does not read, others wait for it already.
                socket.send_fds(self._channel, [message], descriptors, socket.MSG_DONTWAIT)
                return self._process
        return None

    def _renew(self) -> None:
        """Starts the process, if one is wanted and none is there. Call it with the lock held."""
        if not self._wanted or (self._process is not None and self._process.poll() is None):
            return
        self._close()
        # Systems without this kind of socket do without the process. It keeps messages apart.
        with contextlib.suppress(OSError):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    self._process = program.spawn(
                        (), stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
                except BaseException:
                    ours.close()
                    raise
            self._channel = ours

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if self._process is process:
                self._close()
            # Also one that somebody has stopped. It is reaped when the next one is started.
            process.kill()

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
