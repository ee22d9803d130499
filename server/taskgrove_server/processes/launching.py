"""The supervisor's way to the agent's start. For one run directory an agent is started at most once.

Imports only what that takes: in a supervisor that was not forked, `signal` and `json` would add half to the time to the
agent's first line. The rest, in `supervising`, is imported while the agent starts up.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time

from taskgrove_server.processes import files, spawning
from taskgrove_server.processes.orders import Orders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_SIG_IGN = 1
_HANGUP, _INTERRUPT, _KILL, _TERMINATE = 1, 2, 9, 15

#: Seconds for which the rest of this package is sought while it is not there, as when it is being replaced.
_PATIENCE = 60.0


def main(run_directory: str, answer: int | None = None) -> None:
    """Starts the agent that the orders in the run directory ask for, and stays until all of it has ended.

    Tells on `answer`, if that is given, that the run is this supervisor's, and closes it.
    """
    os.chdir(run_directory)
    lock = os.open(files.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        orders = Orders.decode(_read(files.ORDERS))
    except (BlockingIOError, FileNotFoundError):
        return  # a server has given the run up
    set_name(f"run {orders.run_id}")
    os.pwrite(lock, f"{os.getpid()} {orders.run_id}\n".encode(), 0)
    if answer is not None:
        _tell(answer)
    _stand_apart()
    files.write_private(files.NEW_EXIT, b" " * files.EXIT_SIZE)
    # From here on nobody can say that the agent was never started.
    os.unlink(files.ORDERS)  # noqa: PTH108 - pathlib takes 8 ms to import
    agent = failure = None
    try:
        agent = spawning.start(orders)
    except spawning.LaunchFailed as error:
        failure = error
    orders.environment.clear()
    try:
        supervising = _import_supervising()
        if agent:
            supervising.Supervision(orders, agent).run()
        elif failure:
            full = supervising.disk_is_full(orders.log_path)
            supervising.record(
                end_time=time.time(),
                spawn_error=str(failure),
                spawn_stage=failure.stage,
                spawn_errno=failure.number,
                disk_full=full,
            )
    except BaseException:
        if agent:
            os.killpg(agent.pid, _KILL)  # the server sweeps the rest; the traceback goes to the stderr file
        raise
    # What an interpreter tidies at its end would keep the server waiting for some milliseconds.
    os._exit(0)


def set_name(name: str) -> None:
    """Gives this process the name that `ps -e` and `top` show; Linux keeps 15 bytes of it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def _import_supervising() -> ModuleType:
    """Imports the rest of the supervisor, as soon as that is possible.

    The agent lives already, and waits meanwhile if it has to: it must not end because somebody upgrades this package.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            from taskgrove_server.processes import supervising  # noqa: PLC0415 - see the module's docstring
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
            sys.path_importer_cache.clear()
        else:
            return supervising


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes 8 ms to import
        return file.read()


def _tell(answer: int) -> None:
    try:
        os.write(answer, b"1")
    except BrokenPipeError:
        pass  # whoever asked has waited too long, and started another supervisor, which finds the lock taken
    finally:
        os.close(answer)


def _stand_apart() -> None:
    """Adopts orphans, and ignores the signals that a terminal or a service manager sends to a whole service.

    Only a message stops a run. When a machine goes down, agents are sent signals of their own, and the supervisor
    has to outlive its agent to say how it ended.
    """
    libc = ctypes.CDLL(None)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (_HANGUP, _INTERRUPT, _TERMINATE):
        libc.signal(number, ctypes.c_void_p(_SIG_IGN))
