"""Runs a program and writes its output as lines of JSON; a script of its own, with the standard library alone.

    python -I -S command_wrapper.py PROGRAM [ARGUMENT]...

Each line of output is one line {"type": "output", "stream": "stdout" | "stderr", "text": "..."}, without its
newline; a last line that has none gets "newline": false, and one that is no UTF-8 has "base64" in place of "text".
The last line is {"type": "exit", "exit_code": n}, with "signal" when one ended the program (then n is 128 and the
signal's number), or "error" when it could not be started (n is 126 or 127). The wrapper exits with n too.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import IO, NoReturn

#: Seconds that output is waited for after the program has ended, when something that it started holds it open.
_LINGER = 0.2

#: What a pipe holds, unless somebody asks for more: one read takes all that is there. Larger pipes were slower.
_PIPE_SIZE = 65_536

#: A longer line is written in pieces, so that memory has a bound.
_MAX_PIECE = 64 * 1024 * 1024

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Stream:
    """One of the program's outputs, on the way from bytes to lines of JSON."""

    def __init__(self, name: str, pipe: IO[bytes]) -> None:
        self.pipe = pipe
        self._head = f'{{"type":"output","stream":"{name}",'
        #: Pieces of a line whose end has not come; kept apart, as adding them up each time is quadratic.
        self._pieces: list[bytes] = []
        self._size = 0

    def read(self) -> bytes | None:
        """Returns the lines of JSON for what is there; None at the end of the output."""
        data = os.read(self.pipe.fileno(), _PIPE_SIZE)
        if not data:
            return None
        lines, newline, rest = data.rpartition(b"\n")
        written = b""
        if newline:
            written = self._encode(b"".join((*self._pieces, lines)))
            self._pieces, self._size = [], 0
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > _MAX_PIECE:
                written += self.flush()
        return written

    def flush(self) -> bytes:
        """Returns the line of JSON for a piece of a line."""
        data = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return self._encode(data, ',"newline":false') if data else b""

    def _encode(self, data: bytes, mark: str = "") -> bytes:
        try:
            texts = data.decode().split("\n")
        except UnicodeDecodeError:
            return b"".join(self._encode_line(line, mark) for line in data.split(b"\n"))
        # One call for all lines: ten times faster than json.dumps for each.
        between = f'{mark}}}\n{self._head}"text":'
        body = between.join(map(json.encoder.encode_basestring, texts))
        return f'{self._head}"text":{body}{mark}}}\n'.encode()

    def _encode_line(self, line: bytes, mark: str) -> bytes:
        try:
            content = f'"text":{json.encoder.encode_basestring(line.decode())}'
        except UnicodeDecodeError:
            content = f'"base64":"{binascii.b2a_base64(line, newline=False).decode()}"'
        return f"{self._head}{content}{mark}}}\n".encode()


def main() -> NoReturn:
    """Runs the program that the arguments name."""
    awake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (*_FORWARDED, signal.SIGCHLD):
        # A handler of our own, even one that does nothing: ignored signals would be ignored by the program too.
        signal.signal(number, _wake)
    try:
        # In a process group of its own, so that it gets a signal that is sent to our group once, from us.
        program = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        _end(127 if missing else 126, error=str(error))
    # Who writes to the program learns that it has ended only if nobody else holds its standard input.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _copy(program, awake)
    code = program.wait()
    if code < 0:
        _end(128 - code, signal=-code)
    _end(code)


def _wake(_number: int, _frame: object) -> None:
    """Does nothing: the number arrives by the wake-up descriptor, where the loop waits for it."""


def _copy(program: subprocess.Popen[bytes], awake: int) -> None:
    assert program.stdout is not None  # noqa: S101 - for the type checker, as the next one
    assert program.stderr is not None  # noqa: S101
    streams = [_Stream("stdout", program.stdout), _Stream("stderr", program.stderr)]
    selector = selectors.DefaultSelector()
    selector.register(awake, selectors.EVENT_READ, None)
    for stream in streams:
        selector.register(stream.pipe, selectors.EVENT_READ, stream)
    deadline = None
    left = None
    while left != 0.0 and (len(selector.get_map()) > 1 or program.returncode is None):
        if deadline is None and program.poll() is not None:
            deadline = time.monotonic() + _LINGER
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for key, _ in selector.select(left):
            if key.fd == awake:
                _forward(program, os.read(awake, 4096))
            elif (written := key.data.read()) is not None:
                _write(written)
            else:
                selector.unregister(key.fd)
    for stream in streams:
        _write(stream.flush())


def _forward(program: subprocess.Popen[bytes], signals: bytes) -> None:
    for number in signals:
        if number in _FORWARDED and program.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(program.pid, number)


def _end(code: int, **more: object) -> NoReturn:
    _write(json.dumps({"type": "exit", "exit_code": code, **more}).encode() + b"\n")
    sys.exit(code)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
