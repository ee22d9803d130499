"""Runs a program and writes its output as lines of JSON; a script of its own, with the standard library alone.

    python -I -S command_wrapper.py PROGRAM [ARGUMENT]...

Each line of output is one line {"type": "output", "stream": "stdout" | "stderr", "text": "..."}, without its
newline; a last line that has none gets "newline": false, and one that is no UTF-8 has "base64" in place of "text".
The last line is {"type": "exit", "exit_code": n}, with "signal" when one ended the program (then n is 128 and the
signal's number), or "error" when it could not be started (n is 126 or 127), with "errno" when the system refused it.
The wrapper exits with n too.
docs/command_agent.md has it all, for those who read the lines.
"""

from __future__ import annotations

# Little, and where it matters the C modules themselves: what lies above them takes twice as long to import as all
# that is done until the program starts.
import binascii
import os
import select
import sys
import time
from _json import encode_basestring, encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal

#: Seconds that output is waited for after the program has ended, when something that it started holds it open.
_LINGER = 0.2

#: What a pipe holds, unless somebody asks for more: one read takes all that is there. Larger pipes were slower.
_PIPE_SIZE = 65_536

#: A longer line is written in pieces, so that memory has a bound.
_MAX_PIECE = 64 * 1024 * 1024

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Stream:
    """One of the program's outputs, on the way from bytes to lines of JSON."""

    def __init__(self, name: str, pipe: int) -> None:
        self._pipe = pipe
        self._head = f'{{"type":"output","stream":"{name}",'
        #: Pieces of a line whose end has not come; kept apart, as adding them up each time is quadratic.
        self._pieces: list[bytes] = []
        self._size = 0

    def read(self) -> bytes | None:
        """Returns the lines of JSON for what is there; None at the end of the output."""
        data = os.read(self._pipe, _PIPE_SIZE)
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
        # One call for all lines: ten times faster than one for each.
        between = f'{mark}}}\n{self._head}"text":'
        body = between.join(map(encode_basestring, texts))
        return f'{self._head}"text":{body}{mark}}}\n'.encode()

    def _encode_line(self, line: bytes, mark: str) -> bytes:
        try:
            content = f'"text":{encode_basestring(line.decode())}'
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
        program = _Program(sys.argv[1:])
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        cause = f',"errno":{error.errno}' if isinstance(error, OSError) and error.errno else ""
        _end(127 if missing else 126, f',"error":{encode_basestring_ascii(str(error))}{cause}')
    # Who writes to the program learns that it has ended only if nobody else holds its standard input.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _copy(program, awake)
    code = program.wait()
    if code < 0:
        _end(128 - code, f',"signal":{-code}')
    _end(code)


class _Program:
    """The program as a child, with a pipe for each of its outputs."""

    def __init__(self, argv: list[str]) -> None:
        self.exit_code: int | None = None
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.pid = os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            file_actions=((os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)),
            # In a process group of its own, so that it gets a signal that is sent to our group once, from us.
            setpgroup=0,
            # What Python ignores, and programs expect to be as usual.
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        os.close(stdout)
        os.close(stderr)

    def ended(self) -> bool:
        """Tells whether the program has ended, and reaps it."""
        return self.exit_code is not None or self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Returns the exit code, or a signal's negative number."""
        while self.exit_code is None:
            self._reap(0)
        return self.exit_code

    def signal(self, number: int) -> None:
        """Sends a signal to the program's group."""
        try:  # noqa: SIM105 - contextlib takes 3 ms to import
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _reap(self, how: int) -> bool:
        pid, status = os.waitpid(self.pid, how)
        if pid:
            self.exit_code = os.waitstatus_to_exitcode(status)
        return bool(pid)


def _wake(_number: int, _frame: object) -> None:
    """Does nothing: the number arrives by the wake-up descriptor, where the loop waits for it."""


def _copy(program: _Program, awake: int) -> None:
    streams = {program.stdout: _Stream("stdout", program.stdout), program.stderr: _Stream("stderr", program.stderr)}
    unread = set(streams)
    poll = select.poll()
    for descriptor in (awake, *streams):
        poll.register(descriptor, select.POLLIN)
    deadline = None
    left = None
    while left != 0.0 and (unread or not program.ended()):
        if deadline is None and program.ended():
            deadline = time.monotonic() + _LINGER
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for descriptor, _ in poll.poll(None if left is None else 1000 * left):
            if descriptor == awake:
                _forward(program, os.read(awake, 4096))
            elif (written := streams[descriptor].read()) is not None:
                _write(written)
            else:
                poll.unregister(descriptor)
                unread.discard(descriptor)
    for stream in streams.values():
        _write(stream.flush())


def _forward(program: _Program, signals: bytes) -> None:
    for number in signals:
        if number in _FORWARDED and not program.ended():
            program.signal(number)
            # One that is stopped takes no other signal before.
            program.signal(signal.SIGCONT)


def _end(code: int, more: str = "") -> NoReturn:
    _write(f'{{"type":"exit","exit_code":{code}{more}}}\n'.encode())
    sys.exit(code)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
