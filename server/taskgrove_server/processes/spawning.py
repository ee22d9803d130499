"""Starts the agent. On the way to its first line, so it imports next to nothing: see launching."""

from __future__ import annotations

import errno
import os

from taskgrove_server.processes import files
from taskgrove_server.processes.orders import Orders

#: Ignored signals stay ignored in a new program unless they are reset: Python ignores SIGPIPE, the supervisor and
#: `nohup` others.
_SIGNALS = tuple(range(1, 32))


class LaunchFailed(Exception):
    """The program could not be started; the message says why.

    `stage` is what failed: "log", "pipes", "directory" or "program". `number` is the errno if there was one.
    """

    def __init__(self, message: str, stage: str, number: int | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.number = number

    @classmethod
    def of(cls, stage: str, what: str, error: OSError | ValueError) -> LaunchFailed:
        """Returns the failure that an error is the reason of."""
        if isinstance(error, OSError):
            return cls(f"{what}: {error.strerror or error}.", stage, error.errno)
        return cls(f"{what}: {error}.", stage)


class Agent:
    """A started agent: its process id, its log, and the supervisor's ends of its pipes.

    It leads a session and a group.
    """

    __slots__ = ("log", "pid", "stderr", "stdin", "stdout")

    def __init__(self, pid: int, *, stdin: int, stdout: int, stderr: int, log: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.log = log


def start(orders: Orders) -> Agent:
    """Starts the agent, with a pipe for each of its standard streams, and opens its log; raises LaunchFailed.

    The log itself is no output for an agent: one that opens /dev/stdout anew would truncate it.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        ours.append(_open_log(orders.log_path))
        _open_pipes(ours, theirs)
        pid = _spawn_in(orders, theirs)
    except LaunchFailed:
        # Where descriptors are short, there have to be some for telling so.
        _close(ours)
        raise
    finally:
        _close(theirs)
    log, stdin, stdout, stderr = ours
    return Agent(pid, stdin=stdin, stdout=stdout, stderr=stderr, log=log)


def _open_log(path: bytes) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except (OSError, ValueError) as error:
        raise LaunchFailed.of("log", f"The log {_shown(path)} cannot be opened", error) from error


def _open_pipes(ours: list[int], theirs: list[int]) -> None:
    """Adds our ends and the agent's ends of its standard streams."""
    try:
        for number in range(3):
            readable, writable = os.pipe()
            ours.append(writable if number == 0 else readable)
            theirs.append(readable if number == 0 else writable)
    except OSError as error:
        raise LaunchFailed.of("pipes", "The pipes of the program cannot be made", error) from error


def _spawn_in(orders: Orders, standard: list[int]) -> int:
    """Starts the program in its directory, and returns its process id."""
    try:
        home = os.open(".", os.O_RDONLY)
    except OSError as error:
        raise LaunchFailed.of("pipes", "The program cannot be started", error) from error
    try:
        _enter(orders.directory)
        return _spawn(orders, standard)
    finally:
        os.fchdir(home)
        os.close(home)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _enter(directory: bytes) -> None:
    try:
        os.chdir(directory)
    except (OSError, ValueError) as error:
        raise LaunchFailed.of("directory", f"The directory {_shown(directory)} cannot be entered", error) from error


def _spawn(orders: Orders, standard: list[int]) -> int:
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
            raise LaunchFailed.of("program", f"The program {program} cannot be started", error) from error
    if refused:
        raise LaunchFailed.of("program", f"The program {program} cannot be started", refused) from refused
    message = f"The program {program} was not found, or the interpreter that its first line names."
    raise LaunchFailed(message, "program", errno.ENOENT)


def _candidates(program: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    directories = environment.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(directory or b".", program) for directory in directories]  # noqa: PTH118 - see above


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name)[:500])
