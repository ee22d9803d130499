"""A running process, as the server that started or adopted it holds it."""

from __future__ import annotations

import json
import os
import secrets
import select
import subprocess
import threading
import time
from pathlib import Path

from taskgrove_server.domain.ids import RunId
from taskgrove_server.processes import ending, files, run_lock, times
from taskgrove_server.processes.ending import ProcessEnd

#: Supervisors whose handle was closed while they were running: reaped when the next one is started.
_left_running: list[subprocess.Popen[bytes]] = []


class Supervised:
    """A process under its supervisor. Threads may share it; close() is for when none waits for it any more.

    stop(), close_stdin() and send() only ask, and do nothing once the supervisor has ended. They raise
    RuntimeError if a thousand messages wait, as when somebody has stopped the supervisor.
    """

    def __init__(
        self,
        run_directory: Path,
        run_id: RunId,
        *,
        exit_fd: int,
        control: int,
        supervisor: subprocess.Popen[bytes] | None = None,
        is_ours: bool = False,
    ) -> None:
        self.run_directory = run_directory
        self.run_id = run_id
        #: Polls readable from when the process, all that it started, and the supervisor have ended.
        self.exit_fd = exit_fd
        self._control = control
        #: Set if the supervisor is a child of this process.
        self._supervisor = supervisor
        #: When the run began, by the monotonic clock, if this server began it.
        self._since = time.monotonic() if is_ours else None
        self._closed = False
        self._over = False
        self._lock = threading.Lock()
        self._end: ProcessEnd | None = None
        self._reading = threading.Lock()

    def ended(self, timeout: float | None = 0) -> bool:
        """Tells whether the supervisor has ended; waits for it so many seconds, or for ever."""
        if self._over:
            return True
        poll = select.poll()
        poll.register(self.exit_fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def age(self) -> float | None:
        """Returns for how many seconds the process has run, but for the time that it waited for room for its output.

        None if a supervisor of an earlier version started it.
        """
        noted = times.read(self.run_directory)
        if noted is None:
            return None if self._since is None else time.monotonic() - self._since
        return noted[0]

    def silence(self) -> float | None:
        """Returns for how many seconds the process has printed nothing though its output was taken.

        None as long as the supervisor has not told.
        """
        noted = times.read(self.run_directory)
        return None if noted is None else noted[1]

    def stop(self) -> None:
        """Begins the ladder of the spec, which the supervisor climbs by itself. A second stop changes nothing."""
        # Whoever has frozen all processes of a run has frozen its supervisor too.
        run_lock.wake_holder(self.run_directory)
        self._tell({"do": "stop"})

    def close_stdin(self) -> None:
        """Closes the process's standard input after all that was sent."""
        self._tell({"do": "close_stdin"})

    def send(self, data: bytes) -> None:
        """Feeds bytes to the process's standard input, which the spec must have kept open."""
        # A FIFO keeps a message whole only up to PIPE_BUF, which is 512 bytes on some systems.
        path = self.run_directory / f"stdin-{secrets.token_hex(8)}"
        files.write_private(path, data)
        self._tell({"do": "send", "file": path.name})

    def result(self) -> ProcessEnd:
        """Returns how the process ended. If its supervisor was killed, first ends what is left of the run.

        Raises RuntimeError while the supervisor is alive: wait for ended() first.
        """
        with self._reading:
            if self._end is None:
                if not self.ended():
                    raise RuntimeError(f"Run {self.run_id} has not ended yet: wait for ended() first.")
                if self._supervisor:
                    self._supervisor.wait()
                # To read takes a descriptor: where there are none left, all that have ended would wait for each other.
                self._over = True
                self._let_go()
                self._end = ending.of(self.run_directory, self.run_id)
            return self._end

    def close(self) -> None:
        """Lets go of the process, which goes on if it is running. Nothing else may be called after this."""
        if self._let_go() and self._supervisor and self._supervisor.poll() is None:
            _left_running.append(self._supervisor)

    def _let_go(self) -> bool:
        """Closes the descriptors; tells whether they were open."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            os.close(self.exit_fd)
            os.close(self._control)
            return True

    def _tell(self, message: dict[str, str]) -> None:
        with self._lock:
            if self._closed or self.ended():
                return
            try:
                os.write(self._control, json.dumps(message).encode() + b"\n")
            except BlockingIOError as error:
                raise RuntimeError(
                    f"The supervisor of run {self.run_id} takes no messages: is its process stopped?"
                ) from error


def reap_left_running() -> None:
    """Reaps the supervisors that have ended since their handles were closed."""
    _left_running[:] = [supervisor for supervisor in _left_running if supervisor.poll() is None]
