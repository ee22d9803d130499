"""Starts the agent. On the way to its first line, so it imports next to nothing: see launching."""

from __future__ import annotations

import os

from taskgrove_server.processes import files
from taskgrove_server.processes.orders import Orders

#: Ignored signals stay ignored in a new program unless they are reset: Python ignores SIGPIPE, the supervisor and
#: `nohup` others.
_SIGNALS = tuple(range(1, 32))


class LaunchFailed(Exception):
    """The program could not be started; the message says why."""


class Agent:
    """A started agent: its process id and the supervisor's ends of its pipes. It leads a session and a group."""

    __slots__ = ("pid", "stderr", "stdin")

    def __init__(self, pid: int, stdin: int, stderr: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stderr = stderr


def start(orders: Orders) -> Agent:
    """Starts the agent with its output appended to the log; raises LaunchFailed."""
    try:
        log = os.open(orders.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except (OSError, ValueError) as error:
        raise LaunchFailed(f"The log {_shown(orders.log_path)} cannot be opened: {_reason(error)}.") from error
    stdin, our_stdin = os.pipe()
    our_stderr, stderr = os.pipe()
    home = os.open(".", os.O_RDONLY)
    try:
        _enter(orders.directory)
        pid = _spawn(orders, (stdin, log, stderr))
    finally:
        os.fchdir(home)
        for descriptor in (stdin, log, stderr, home):
            os.close(descriptor)
    return Agent(pid, our_stdin, our_stderr)


def _enter(directory: bytes) -> None:
    try:
        os.chdir(directory)
    except (OSError, ValueError) as error:
        raise LaunchFailed(f"The directory {_shown(directory)} cannot be entered: {_reason(error)}.") from error


def _spawn(orders: Orders, standard: tuple[int, int, int]) -> int:
    """Starts the program from the agent's own PATH, as a shell finds it, and returns its process id."""
    program = _shown(orders.argv[0])
    environment = {**orders.environment, files.MARKER.encode(): orders.run_id.encode()}
    refused: PermissionError | None = None
    for path in _candidates(orders.argv[0], environment):
        try:
            return os.posix_spawn(
                path,
                orders.argv,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, ours, number) for number, ours in enumerate(standard)],
                setsid=True,
                setsigmask=(),
                setsigdef=_SIGNALS,
            )
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            refused = error
        except (OSError, ValueError) as error:
            raise LaunchFailed(f"The program {program} cannot be started: {_reason(error)}.") from error
    if refused:
        raise LaunchFailed(f"The program {program} cannot be started: {_reason(refused)}.") from refused
    raise LaunchFailed(f"The program {program} was not found, or the interpreter that its first line names.")


def _candidates(program: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    directories = environment.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(directory or b".", program) for directory in directories]  # noqa: PTH118 - see above


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name)[:500])


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
