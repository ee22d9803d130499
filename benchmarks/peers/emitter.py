"""Writes numbered lines as an agent would. A program of its own: emitter.py FILE; the file holds an emission as JSON.

An emission has `lines`, how many; `rate`, lines a second, 0 for as fast as it can; `gate`, a named pipe whose opening
for writing it waits for, empty for none; and `cores`, where it may run, empty for anywhere.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

#: Each line begins with this, nine digits of its number, and nineteen of the clock, all at fixed places.
MARK = b'{"seq":"'
#: Bytes of every line, so that they can be counted by their size.
SIZE = 300
_CLOCK = b'","ns":"'
_MESSAGE = b'","type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"'
_RESULT = b'","type":"result","subtype":"success","is_error":false,"result":"'
#: Bytes that are written at a time when nothing paces them.
_BLOCK = 64 << 10


def line(number: int, clock: int, *, last: bool) -> bytes:
    """Returns a line of 300 bytes, as Claude Code writes them; the last one is a result."""
    head = b"%b%09d%b%019d%b" % (MARK, number, _CLOCK, clock, _RESULT if last else _MESSAGE)
    tail = b'"}\n' if last else b'"}]}}\n'
    return head + b"x" * (SIZE - len(head) - len(tail)) + tail


def main() -> None:
    """Writes the lines to standard output."""
    emission: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    cores = set(emission["cores"]) & os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    if emission["gate"]:
        os.close(os.open(emission["gate"], os.O_RDONLY))
    if emission["rate"]:
        _write_paced(emission["lines"], emission["rate"])
    else:
        _write_fast(emission["lines"])


def _write_paced(count: int, rate: float) -> None:
    start = time.monotonic()
    for number in range(1, count + 1):
        wait = start + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        _write(line(number, time.monotonic_ns(), last=number == count))


def _write_fast(count: int) -> None:
    at_once = _BLOCK // SIZE
    for first in range(1, count + 1, at_once):
        numbers = range(first, min(first + at_once, count + 1))
        clock = time.monotonic_ns()
        _write(b"".join(line(number, clock, last=number == count) for number in numbers))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
