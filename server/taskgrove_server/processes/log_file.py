"""A run's log as its supervisor writes it: within the run's limit, and only while the disk has room.

Uses nothing but the standard library, and little of that, as each run's supervisor imports it.
"""

from __future__ import annotations

import os

#: Bytes that a run may write before anybody asks for the room: the few lines of a short run are told even when a disk
#: has become full meanwhile, by something else. Little enough that a thousand runs stay within the usual floor.
_UNASKED = 64 << 10

#: Bytes that a run may write between two looks at the room.
_STEP = 4 << 20

#: So many runs may write at once and still stop at the floor together: none takes more of the room than its share.
_SHARES = 64

#: Bytes that a run takes at once however little its share is.
_LEAST = 64 << 10

#: Above the floor, a log leaves this part of its own size free: a large one waits while those of other runs have room,
#: and before the floor keeps tasks from being started.
_MARGIN = 8

#: Bytes that a run may write below the floor when it ends: all that waits in its pipe and its supervisor.
_LAST_WORDS = 2 << 20

#: So many bytes before the limit, the next line may be the last.
_NEAR = 64 << 10


class LogFile:
    """The file, of which nothing is ever taken back."""

    def __init__(self, descriptor: int, *, limit: int, floor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        #: What the limit leaves of it, in bytes.
        self.left = max(0, limit - self._size)
        #: How much room on the disk is not for logs, in bytes; 0: logs may take all.
        self._floor = floor
        #: What may be written until the next look at the room.
        self._allowance = _UNASKED
        self._last_words: int | None = None

    def fitting(self, data: memoryview, *, in_part: bool) -> memoryview:
        """Returns as much of `data` as the limit has room for, near the limit only whole lines; maybe nothing.

        `in_part` tells that a line without its end is better than none.
        """
        rest = self.left - len(data)
        if rest > _NEAR:
            return data
        lines = data[: bytes(data[: self.left]).rfind(b"\n") + 1]
        return data if in_part and rest >= 0 and not lines else lines

    def append(self, data: memoryview) -> int:
        """Writes what the disk has room for at the moment, and returns how many bytes that was.

        A disk that fails in another way is no different: it may be back in a moment, and an agent goes on then.
        """
        try:
            if self._allowance <= 0:
                self._look()
            written = os.write(self._descriptor, data[: max(0, self._allowance)])
        except OSError:
            return 0
        self._size += written
        self.left -= written
        self._allowance -= written
        return written

    def end(self) -> None:
        """Lets the last that a run prints in below the floor."""
        if self._last_words is None:
            self._last_words = _LAST_WORDS

    def _look(self) -> None:
        disk = os.fstatvfs(self._descriptor)
        room = disk.f_bavail * disk.f_frsize
        if self._floor:
            room -= self._floor + self._size // _MARGIN
        self._allowance = min(_STEP, max(room // _SHARES, min(room, _LEAST)))
        if self._allowance <= 0 and self._last_words:
            self._allowance, self._last_words = self._last_words, 0
