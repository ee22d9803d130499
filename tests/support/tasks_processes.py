"""Looks for processes without asking the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import taskgrove
from support.server import RunningServer


def is_alive(pid: int) -> bool:
    """Tells whether a process runs: one that has ended and was not reaped does not."""
    return _state(pid) not in "ZX"


def is_stopped(pid: int) -> bool:
    """Tells whether a process was stopped by SIGSTOP, which takes effect a little after it was sent."""
    return _state(pid) == "T"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def of_runs(runs: Iterable[taskgrove.Run]) -> list[int]:
    """Returns the ids of the processes that carry the marker of one of the runs."""
    marks = {f"TASKGROVE_RUN_ID={run.id}".encode() for run in runs}
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marks & set((entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
    return found


def supervisors(server: RunningServer) -> list[int]:
    """Returns the ids of the supervisors that run."""
    found: list[int] = []
    for lock in (server.data / "runs").glob("*/lock"):
        with contextlib.suppress(OSError, IndexError):
            found.append(int(lock.read_text().split()[0]))
    return [pid for pid in found if is_alive(pid)]


def fork_servers(server: RunningServer) -> list[int]:
    """Returns the id of the process that the server has its supervisors forked from; none between two of them."""
    found: list[int] = []
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        # A process is the child of the thread that has started it.
        for child in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text() == "fork server\n":
                    found.append(child)
    return found
