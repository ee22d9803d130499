"""Finds and ends every process of a run.

A group kill is not enough: agents start each tool in a session of its own, and a tool may fork twice or clear its
environment. On Linux a run's processes are those that carry its marker in their environment, those that descend
from its supervisor (which adopts orphans), and all that descend from either. Elsewhere, where neither can be seen,
they are the agent's process group and the supervisor's descendants; a tool that leaves both is not found.

Uses nothing but the standard library, and little of that, as each run's supervisor imports it.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable

from taskgrove_server.processes import files

#: The process, or the machine, has no descriptor left.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE})

#: Where Linux shows processes.
_PROC = "/proc"

#: Seconds for which processes are killed over and over before they are given up: one that waits for a dead file
#: server cannot be killed, and its run has to end nevertheless.
_PATIENCE = 10.0


class Process:
    """One process as it was seen. Its start time tells it from a later process with the same id."""

    __slots__ = ("group", "parent", "pid", "start", "zombie")

    def __init__(self, pid: int, parent: int, group: int, start: int, *, zombie: bool) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.start = start
        self.zombie = zombie

    @property
    def identity(self) -> tuple[int, int]:
        """Returns what no other process shares until the machine is restarted."""
        return self.pid, self.start


def find(run_id: str, *, ancestor: int | None = None, group: int | None = None) -> list[Process]:
    """Returns the processes of a run, without the calling one.

    `ancestor` is the supervisor, if it lives and has children; `group` is the agent's process group, which is used
    where environments cannot be read.
    """
    return _find(f"{files.MARKER}={run_id}", ancestor=ancestor, group=group)


def _find(mark: str, *, ancestor: int | None = None, group: int | None = None) -> list[Process]:
    if _shown():
        pids = _pids()
        roots = _marked(pids, mark)
        if ancestor is None and not roots:
            return []
        table = {pid: process for pid in pids if (process := _look(pid))}
    else:
        table = _listed()
        roots = {process.pid for process in table.values() if process.group == group}
    return _with_descendants(table, roots, ancestor)


def sweep(
    look: Callable[[], list[Process]],
    *,
    grace: float = 1.0,
    told: Callable[[Process], float | None] = lambda _process: None,
    strike: Callable[[], None] | None = None,
    nap: Callable[[float], None] = time.sleep,
) -> tuple[int, int]:
    """Ends what `look` finds until it finds nothing: SIGTERM, `grace` seconds to obey, then SIGKILL.

    Returns how many processes were met, and how many of them are left: those that belong to another user, or that the
    kernel does not let go. `told` returns when a process was sent SIGTERM before, by the monotonic clock: its grace
    counts from then. Once the grace is over, `strike` is called before each look: it ends what it can faster than a
    look finds it. `nap` lets so many seconds pass.
    """
    begin = time.monotonic()
    #: When each process that was met is to be killed.
    due: dict[tuple[int, int], float] = {}
    foreign: set[tuple[int, int]] = set()
    while found := [process for process in look() if process.identity not in foreign]:
        now = time.monotonic()
        if now > begin + grace + _PATIENCE:
            return len(due), len(foreign) + len(found)
        polite = now < begin + grace
        for process in found:
            if process.zombie:
                continue
            is_new = process.identity not in due
            before = told(process) if is_new else None
            if is_new:
                due[process.identity] = grace + (begin if before is None else min(begin, before))
            if now >= due[process.identity]:
                obeys = _send(process, signal.SIGKILL)
            elif is_new and before is None:
                obeys = tell(process)
            else:
                continue
            if not obeys:
                foreign.add(process.identity)
        if strike and not polite:
            strike()
        left = [process for process in found if process.identity not in foreign]
        rest = [due[process.identity] - now for process in left if process.identity in due]
        _wait(left, max(0.05, min(rest, default=0)), nap)
    return len(due), len(foreign)


def tell(process: Process) -> bool:
    """Sends SIGTERM to a process; returns False if that is not allowed."""
    # A stopped process takes no signal but SIGKILL until it is continued.
    return _send(process, signal.SIGTERM, signal.SIGCONT)


def has_begun_before(process: Process, boot_time: float) -> bool:
    """Tells whether a process has begun before a moment, by the clock that counts from the machine's start.

    False if it cannot be told: where that is not seen, or less than a tick before.
    """
    return 0 < process.start < int(boot_time * os.sysconf("SC_CLK_TCK"))


def children() -> list[int]:
    """Returns the ids of the calling process's children, where the kernel tells them."""
    return [int(pid) for pid in _read(f"{_PROC}/self/task/{os.getpid()}/children").split()]


def sweep_run(run_id: str, *, group: int | None = None) -> tuple[int, int]:
    """Ends what is left of a run whose supervisor is dead; returns what sweep() does.

    Without a supervisor a process is not found that has left its parent and cleared its environment.
    """
    return sweep(lambda: find(run_id, group=group))


def sweep_marked(mark: str) -> tuple[int, int]:
    """Ends what carries a variable, written "NAME=value", in its environment; returns what sweep() does."""
    return sweep(lambda: _find(mark))


def wait_for_marked(mark: str, seconds: float) -> bool:
    """Waits until nothing carries a variable in its environment, or for so long; tells whether nothing does."""
    deadline = time.monotonic() + seconds
    while found := _find(mark):
        rest = deadline - time.monotonic()
        if rest <= 0:
            return False
        _wait(found, rest, time.sleep)
    return True


def _shown() -> bool:
    return os.path.isdir(f"{_PROC}/self")  # noqa: PTH112 - pathlib takes 8 ms to import


def _pids() -> list[int]:
    names = os.listdir(_PROC)  # noqa: PTH208 - as above
    return [int(name) for name in names if name.isdecimal() and int(name) != os.getpid()]


def _marked(pids: Iterable[int], mark: str) -> set[int]:
    variable = f"\0{mark}\0".encode()
    return {pid for pid in pids if variable in b"\0" + _read(f"{_PROC}/{pid}/environ")}


def _look(pid: int) -> Process | None:
    # The name in parentheses may hold anything, and the fields that follow are counted from 3: see proc(5).
    fields = _read(f"{_PROC}/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return None
    # A process whose first thread has ended looks like a zombie while its other threads go on.
    zombie = fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[19]), zombie=zombie)


def _read(path: str) -> bytes:
    """Returns what a file of /proc holds; nothing if its process is gone or another user's.

    Raises OSError when no file can be opened at the moment: a process that cannot be looked at is not gone.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return b""
    try:
        data = chunk = os.read(descriptor, 65536)
        while len(chunk) == 65536:
            chunk = os.read(descriptor, 65536)
            data += chunk
        return data
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _listed() -> dict[int, Process]:
    """Returns all processes as ps tells them."""
    import subprocess  # noqa: PLC0415 - not needed on Linux, and takes 8 ms to import

    ps = subprocess.Popen(["ps", "-axo", "pid=,ppid=,pgid=,stat="], stdout=subprocess.PIPE, text=True)
    lines = (line.split() for line in ps.communicate()[0].splitlines())
    processes = (
        Process(int(pid), int(parent), int(group), 0, zombie=state.startswith("Z"))
        for pid, parent, group, state in lines
    )
    return {process.pid: process for process in processes if process.pid not in {ps.pid, os.getpid()}}


def _with_descendants(table: dict[int, Process], roots: set[int], ancestor: int | None) -> list[Process]:
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, Process] = {}
    waiting = [*roots, *(children.get(ancestor, ()) if ancestor is not None else ())]
    while waiting:
        pid = waiting.pop()
        if pid in table and pid not in found:
            found[pid] = table[pid]
            waiting.extend(children.get(pid, ()))
    return list(found.values())


def _send(process: Process, *signals: int) -> bool:
    """Sends to the process unless its id has passed to another; returns False if sending is not allowed."""
    try:
        for number in signals:
            if _lives(process):
                os.kill(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def _lives(process: Process) -> bool:
    if _shown():
        seen = _look(process.pid)
        return seen is not None and seen.start == process.start and not seen.zombie
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(processes: Iterable[Process], seconds: float, nap: Callable[[float], None]) -> None:
    """Waits until all of the processes have ended, or for so long."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        nap(pause)
        processes = [process for process in processes if _lives(process)]
        if not processes or time.monotonic() >= end:
            return
        pause = min(2 * pause, 0.02)
