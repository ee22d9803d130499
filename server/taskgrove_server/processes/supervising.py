"""What a supervisor does once its agent has been started.

It takes messages from whichever server is there, a line of JSON each, on the FIFO of the run directory:

    {"do": "send", "file": NAME}   feeds the file of that name to the agent's standard input, and deletes it
    {"do": "close_stdin"}          closes standard input after all that was sent
    {"do": "stop"}                 begins the ladder of the orders; while one is under way it changes nothing

The ladder goes on by itself if the server dies. Each rung ends with standard input closed, then waits its grace;
SIGKILL is always the last. However the agent ends, all that it has left behind is swept before its end is recorded.
The graces run side by side where that takes nothing from the agent: for at least half of its first grace it is alone to
end its tools. Towards the end of that, those that it has started in sessions of their own get SIGTERM, so that their
grace is over with the agent's; and what is left of its group, which had SIGTERM with it, is not told again.
A run whose log has reached its limit is stopped in the same way, without a message.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import time
from collections.abc import Callable

from taskgrove_server.processes import files, sweeping
from taskgrove_server.processes.log_file import LogFile
from taskgrove_server.processes.orders import Orders
from taskgrove_server.processes.spawning import Agent
from taskgrove_server.processes.stdio import Errors, Input, Output
from taskgrove_server.processes.times import Times

#: A disk with less room than so many bytes is full: an agent's next line may not fit.
FULL = 1 << 20

#: The rung that writes the orders' interrupt to standard input; the others are names of signals.
INTERRUPT = "interrupt"


class Supervision:
    """Follows one agent to its end, and all that it started."""

    def __init__(self, orders: Orders, agent: Agent) -> None:
        self._orders = orders
        self._agent = agent.pid
        #: As os.waitstatus_to_exitcode tells it.
        self._status: int | None = None
        self._end_time = 0.0
        self._disk_full = False
        self._poll = select.poll()
        self._wake = self._wake_on_child()
        self._control = os.open(files.CONTROL, os.O_RDWR | os.O_NONBLOCK)  # for writing too: so it never ends
        self._poll.register(self._control, select.POLLIN)
        self._message = b""
        self._stdin = Input(self._poll, agent.stdin)
        #: Open, because the data directory may be moved meanwhile.
        self._log = agent.log
        log = LogFile(agent.log, limit=orders.log_limit, floor=orders.least_free)
        self._stdout = Output(self._poll, agent.stdout, log, Times())
        self._stderr = Errors(self._poll, agent.stderr)
        self._handlers: dict[int, Callable[[int], None]] = {
            self._wake: self._woken,
            self._control: self._controlled,
            self._stdin.descriptor: self._stdin.ready,
            self._stdout.descriptor: self._stdout.ready,
            self._stderr.descriptor: self._stderr.ready,
        }
        #: The log's limit, once that has begun a stop.
        self._log_limit: int | None = None
        #: What is left of the ladder, next rung last; None while nobody asked to stop.
        self._rungs: list[tuple[str, float]] | None = None
        self._next_rung = math.inf
        #: The first rung was climbed.
        self._climbing = False
        #: When what the agent has started in other sessions is told to end; infinite before a stop and once it was.
        self._tools_due = math.inf
        #: What was told so, and when; by the monotonic clock.
        self._told: dict[tuple[int, int], float] = {}
        #: When the agent's group got SIGTERM, by the monotonic clock and by the one that counts from the boot.
        self._group_told: tuple[float, float] | None = None
        self._stdin.write(orders.stdin)
        orders.stdin = b""
        if not orders.keep_stdin_open:
            self._stdin.end()

    def run(self) -> None:
        """Returns when the agent and all that it started have ended and that is recorded."""
        _write_agent(self._agent)
        self._reap()  # it may have ended before anybody listened
        while self._status is None:
            self._serve(min(self._next_rung, self._tools_due) - time.monotonic())
            self._climb()
            self._tell_tools()
        stopped = self._rungs is not None
        swept, survivors = sweeping.sweep(
            self._remains,
            grace=self._orders.sweep_grace,
            told=self._when_told,
            strike=self._strike,
            nap=self._nap,
        )
        self._reap()
        self._stderr.finish()
        while not self._stdout.finish():
            self._serve(math.inf)
        self._heed_limit()
        record(
            exit_code=self._status if self._status >= 0 else 128 - self._status,
            signal_number=-self._status if self._status < 0 else None,
            end_time=self._end_time,
            stopped=stopped,
            swept=swept,
            survivors=survivors,
            disk_full=self._disk_full or self._stdout.cut_off,
            log_limit=self._log_limit,
        )

    def _serve(self, seconds: float) -> None:
        """Waits until there is something to do, at most for so long, and does it."""
        patience = min(seconds, self._stdout.next_try - time.monotonic())
        milliseconds = None if patience == math.inf else max(0, math.ceil(patience * 1000))
        for descriptor, events in self._poll.poll(milliseconds):
            self._handlers[descriptor](events)
        self._stdout.retry()
        self._heed_limit()

    def _nap(self, seconds: float) -> None:
        """Lets time pass without leaving those who print to wait."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            self._serve(rest)

    def _heed_limit(self) -> None:
        if self._stdout.beyond_limit and self._rungs is None:
            self._log_limit = self._orders.log_limit
            self._stop()

    def _wake_on_child(self) -> int:
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        self._poll.register(readable, select.POLLIN)
        return readable

    def _woken(self, _events: int) -> None:
        os.read(self._wake, 4096)
        self._reap()

    def _reap(self) -> bool:
        """Reaps the agent and the orphans that have ended; tells whether there are children left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._agent:
                self._status = os.waitstatus_to_exitcode(status)
                self._end_time = time.time()
                self._disk_full = disk_is_full(self._log)

    def _remains(self) -> list[sweeping.Process]:
        """Returns what is left of the run."""
        found: list[sweeping.Process] = []
        # A scan misses a process whose parent ends meanwhile. Only the lack of children proves that none is left.
        for _ in range(3):
            children = self._reap()
            found = sweeping.find(self._orders.run_id, ancestor=os.getpid() if children else None, group=self._agent)
            if found or not children:
                break
        return found

    def _strike(self) -> None:
        """Kills the children there are, over and over for a moment.

        A family that forks on and on is elsewhere before a scan of all processes is through. But its orphans become
        the supervisor's children, and to read those takes microseconds.
        """
        end = time.monotonic() + 0.2
        while self._reap() and time.monotonic() < end:
            for pid in sweeping.children():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _controlled(self, _events: int) -> None:
        *lines, self._message = (self._message + os.read(self._control, 65536)).split(b"\n")
        for line in lines:
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            what = message["do"]
            if what == "stop":
                self._stop()
            elif what == "close_stdin":
                self._stdin.end()
            elif what == "send":
                self._stdin.write(_take(message["file"]))
        except (ValueError, TypeError, LookupError, OSError):
            # Nobody to tell, and a run must not die of a message: a later server may know more of them.
            return

    def _stop(self) -> None:
        if self._rungs is None:
            self._rungs = [("SIGKILL", math.inf), *reversed(self._orders.ladder)]
            self._next_rung = time.monotonic()
            self._stdout.hurry()

    def _climb(self) -> None:
        while self._rungs and self._status is None and time.monotonic() >= self._next_rung:
            rung, grace = self._rungs.pop()
            if rung == INTERRUPT:
                if not self._stdin.takes_more:
                    continue
                self._stdin.write(self._orders.interrupt)
            else:
                self._signal(signal.Signals[rung])
            self._stdin.end()
            now = time.monotonic()
            self._next_rung = now + grace
            if not self._climbing:
                self._climbing = True
                self._tools_due = now + max(grace - self._orders.sweep_grace, grace / 2)

    def _tell_tools(self) -> None:
        """Sends SIGTERM, when it is time, to all of the run that is not in the agent's group."""
        now = time.monotonic()
        if self._status is not None or now < self._tools_due:
            return
        self._tools_due = math.inf
        for process in sweeping.find(self._orders.run_id, ancestor=os.getpid(), group=self._agent):
            if process.group != self._agent and sweeping.tell(process):
                self._told[process.identity] = now

    def _when_told(self, process: sweeping.Process) -> float | None:
        """Returns when a process was told to end before the sweep."""
        if process.group == self._agent and self._group_told:
            when, boot_time = self._group_told
            # Not what has been forked since.
            return when if sweeping.has_begun_before(process, boot_time) else None
        return self._told.get(process.identity)

    def _signal(self, number: int) -> None:
        # To all of the group, which has the agent's id until the agent is reaped. A stopped agent takes no signal
        # but SIGKILL until it is continued.
        boot_time = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else 0
        with contextlib.suppress(OSError):
            os.killpg(self._agent, number)
            os.killpg(self._agent, signal.SIGCONT)
            if number == signal.SIGTERM:
                self._group_told = (time.monotonic(), boot_time)


def disk_is_full(file: bytes | int) -> bool:
    """Tells whether hardly anything can be written any more to the disk of a file: a path or a descriptor."""
    try:
        disk = os.statvfs(file if isinstance(file, int) else os.path.dirname(file))  # noqa: PTH120 - pathlib takes 8 ms
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < FULL


def record(
    *,
    end_time: float,
    exit_code: int | None = None,
    signal_number: int | None = None,
    spawn_error: str | None = None,
    spawn_stage: str | None = None,
    spawn_errno: int | None = None,
    stopped: bool = False,
    swept: int = 0,
    survivors: int = 0,
    disk_full: bool = False,
    log_limit: int | None = None,
) -> None:
    """Writes how the run ended: all of it or, if the server should look meanwhile, nothing."""
    end = {
        "end_time": end_time,
        "exit_code": exit_code,
        "signal": signal_number,
        "spawn_error": spawn_error,
        "spawn_stage": spawn_stage,
        "spawn_errno": spawn_errno,
        "stopped": stopped,
        "swept": swept,
        "survivors": survivors,
        "disk_full": disk_full,
        "log_limit": log_limit,
    }
    descriptor = os.open(files.NEW_EXIT, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(descriptor, json.dumps(end).encode().ljust(files.EXIT_SIZE), 0)
    os.fsync(descriptor)
    os.rename(files.NEW_EXIT, files.EXIT)  # noqa: PTH104 - pathlib takes 8 ms to import


def _nothing(_number: int, _frame: object) -> None:
    """Handles SIGCHLD, which has to have a handler to be written to the wake-up descriptor."""


def _write_agent(pid: int) -> None:
    with contextlib.suppress(OSError):
        files.write_private(files.AGENT, json.dumps({"pid": pid, "start_time": time.time()}).encode())


def _take(name: str) -> bytes:
    with open(name, "rb") as file:  # noqa: PTH123 - as above
        os.unlink(name)  # noqa: PTH108 - as above
        return file.read()
