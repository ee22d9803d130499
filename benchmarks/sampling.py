"""Readings of processes and of clocks, and what is made of many of them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: seconds of processor time, and what it holds now."""

    cpu: float
    resident: int
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """Returns what a process uses; `resident` is in bytes."""
    process = Path(f"/proc/{pid}")
    # The fields after the name in parentheses, counted from 3: see proc(5).
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    return Usage(
        cpu=processor_time(pid),
        resident=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        threads=int(fields[17]),
        descriptors=sum(1 for _ in process.joinpath("fd").iterdir()),
    )


def proportional(pid: int) -> int:
    """Returns the bytes of memory that a process holds, of what it shares with others its share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(1024 * int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def processor_time(pid: int) -> float:
    """Returns the seconds of processor time that a process has used, to the microsecond, where stat(5) has ticks."""
    # The clock that clock_getcpuclockid(3) returns on Linux, which Python has no name for.
    return time.clock_gettime((~pid << 3) | 2)


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that `percent` percent of the values do not exceed."""
    ordered = sorted(values)
    rank = math.ceil(len(ordered) * percent / 100)
    return ordered[max(0, rank - 1)]


def median(values: Sequence[float]) -> float:
    """Returns the middle value, the lower one of two."""
    return percentile(values, 50)


def pin(pid: int, *cores: int) -> None:
    """Keeps a process, all its threads, and what it starts from now on, on some cores, as far as they are there."""
    there = os.sched_getaffinity(0)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core for core in cores if core in there} or there)
