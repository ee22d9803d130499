"""When an agent was started and when it last printed, by the clock that nobody sets.

A supervisor notes both in the run directory, and each server counts from there: by the time of day, a run that is a
second old would be hours old after a step of the clock. Monotonic times can be compared until the machine is
restarted, which no supervisor outlives. For as long as an agent is kept waiting for room on the disk, neither counts.

Uses nothing but the standard library, and little of that, as each run's supervisor imports it.
"""

from __future__ import annotations

import os
import time

from taskgrove_server.processes import files

#: Bytes of one time: nanoseconds, little-endian.
_SIZE = 8


class Times:
    """The note, as the supervisor keeps it."""

    def __init__(self) -> None:
        self._started = self._noted = time.monotonic_ns()
        self._descriptor: int | None = None
        self.printed()

    def printed(self) -> None:
        """Notes that the agent has printed just now."""
        self._noted = time.monotonic_ns()
        self._write()

    def waited(self) -> None:
        """Notes that the agent has been kept from printing since the last note."""
        now = time.monotonic_ns()
        self._started += now - self._noted
        self._noted = now
        self._write()

    def _write(self) -> None:
        noted = self._started.to_bytes(_SIZE, "little") + self._noted.to_bytes(_SIZE, "little")
        try:
            if self._descriptor is None:
                self._descriptor = os.open(files.TIMES, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._descriptor, noted, 0)
        except OSError:
            # The disk is full, maybe. Who reads goes by what he knows himself, until this works.
            return


def read(run_directory: str | os.PathLike[str]) -> tuple[float, float] | None:
    """Returns for how many seconds an agent has run, and for how many it has printed nothing; None if unknown.

    Time that it waited for room counts in neither.
    """
    try:
        with open(f"{os.fspath(run_directory)}/{files.TIMES}", "rb") as file:  # noqa: PTH123 - pathlib takes 8 ms
            noted = file.read(2 * _SIZE)
    except OSError:
        return None
    if len(noted) < 2 * _SIZE:
        return None
    return _since(noted[:_SIZE]), _since(noted[_SIZE:])


def _since(noted: bytes) -> float:
    return max(0, time.monotonic_ns() - int.from_bytes(noted, "little")) / 1e9
