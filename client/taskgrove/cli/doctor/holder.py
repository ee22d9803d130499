"""Who holds the data directory of a server that does not answer at its socket."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from taskgrove.cli.doctor import findings
from taskgrove.cli.doctor.findings import Finding


def examine(address: str, where: str) -> Finding | None:
    """Returns what is to be said of the process that holds the lock beside a socket; None when there is none."""
    if not address.startswith("unix:"):
        return None
    directory = Path(address.removeprefix("unix:").removeprefix("//")).parent
    process = _holder(directory / "lock")
    if process is None:
        return None
    return findings.problem(
        "server",
        f"No server answers at {where}, but process {process} holds the data directory {directory}",
        "One that is starting, or whose socket was removed, answers in a moment; one that listens elsewhere is reached "
        f"with --target. Else end it: kill {process}",
    )


def _holder(lock: Path) -> int | None:
    """Returns the id of the process that holds a lock, as it has written it there."""
    try:
        with lock.open("rb") as file:
            process = int(file.read(32))
            # Asked first: where nobody holds the lock, to try it would keep out a server that starts right now.
            os.kill(process, 0)
            return process if _is_held(file.fileno()) else None
    except (OSError, ValueError):
        return None


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
