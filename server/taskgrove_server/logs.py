"""What the server says on its standard error, which may have no reader, no room, or be closed.

    log, gRPC's core, whatever else writes to descriptor 2 --> a pipe of our own --> a thread --> the real one

To write to a pipe that nobody reads takes for ever, and whoever writes may hold what all need. The pipe of our own
takes what it has room for, 64 KiB; more lines are dropped and counted. The real one cannot be told not to wait: that
would hold for all programs that share it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import signal
import sys
import textwrap
import threading
from collections.abc import Generator
from typing import Any

from taskgrove_server.guarding import Steady, Troubles

#: Seconds that the last lines get, once the server has ended.
PATIENCE = 1.0

_STDERR = 2

#: What would end a line, or move the cursor of a terminal.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

#: Bytes that are passed on at a time.
_BLOCK = 1 << 16


@contextlib.contextmanager
def passed_on(level: str) -> Generator[None]:
    """Has everything that is said on standard error, the log too, go through the thread meanwhile."""
    standard_error = _StandardError()
    handler = _Handler(standard_error)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_concerns_a_person)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    try:
        yield
    finally:
        standard_error.close(PATIENCE)


def open_closed() -> None:
    """Opens of the standard descriptors those that are closed: else the next file gets the number, the database maybe.

    What anybody says on standard error would go into it then. Python has no stream for one that was closed at its
    start, and libraries that say something would fail for that.
    """
    for number in (0, 1, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (_STDERR, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


class _StandardError:
    def __init__(self) -> None:
        self._real = os.dup(_STDERR)
        self._readable, writable = os.pipe()
        os.set_blocking(writable, False)
        os.dup2(writable, _STDERR)
        os.close(writable)
        self._lock = threading.Lock()
        self._dropped = 0
        #: The last line was dropped after its beginning had found room.
        self._torn = False
        self._ended = threading.Event()
        self._thread = Steady("log", self._pass_on, Troubles())
        # To a terminal that stops those who write to it from the background, a thread that blocks this may write.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def write(self, line: bytes) -> None:
        """Says a line, or drops it. Never waits, never raises OSError."""
        with self._lock:
            data = b"\n" + line if self._torn else line
            whole = len(data)
            try:
                while data:
                    data = data[os.write(_STDERR, data) :]
                self._torn = False
            except OSError:
                self._dropped += 1
                self._torn = self._torn or len(data) < whole

    def close(self, patience: float) -> None:
        """Gives what was said so many seconds to be read, and says nothing any more unless it was."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        if self._ended.wait(patience):
            os.dup2(self._real, _STDERR)

    def _pass_on(self) -> None:
        block = os.read(self._readable, _BLOCK)
        if not block:
            self._thread.stop()
            self._ended.set()
            return
        try:
            self._write_all(block)
        except Exception:  # noqa: BLE001 -- whatever it is, these lines are lost, and no others
            with self._lock:
                self._dropped += block.count(b"\n")
            return
        self._tell_dropped(block)

    def _tell_dropped(self, block: bytes) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if not dropped:
            return
        start = "" if block.endswith(b"\n") else "\n"
        try:
            self._write_all(f"{start}{dropped} lines were dropped: nobody has taken them\n".encode())
        except OSError:
            with self._lock:
                self._dropped += dropped

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._real, data) :]
            except BlockingIOError:
                # Whoever shares it has told it not to wait.
                poll = select.poll()
                poll.register(self._real, select.POLLOUT)
                poll.poll()


def _concerns_a_person(record: logging.LogRecord) -> bool:
    """Tells whether a record is one of the server's own, or a library's that a person needs.

    What libraries say besides has people's words in it: Peewee tells each statement with its values, GitPython each
    command. Its migrations tell which tables were changed.
    """
    if record.name.partition(".")[0] == "taskgrove_server":
        return True
    return record.levelno >= (logging.INFO if record.name in ("root", "peewee.migrations") else logging.WARNING)


class _Formatter(logging.Formatter):
    """Keeps a record in its line, whatever people or programs have written into it; a trace stands indented below."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return _CONTROL.sub(_escaped, super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return textwrap.indent(super().formatException(ei), "  ")


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")


class _Handler(logging.Handler):
    def __init__(self, standard_error: _StandardError) -> None:
        super().__init__()
        self._standard_error = standard_error

    def emit(self, record: logging.LogRecord) -> None:
        """Says a record."""
        try:
            self._standard_error.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 -- what cannot be said must not end who says it
            self.handleError(record)
