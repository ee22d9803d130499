"""Runs real programs under real supervisors, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from taskgrove_server.domain.ids import RunId
from taskgrove_server.processes import files, starting, sweeping
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.fork_server import ForkServer
from taskgrove_server.processes.spec import Rung, Spec
from taskgrove_server.processes.supervised import Supervised

#: Seconds that anything here may take before a test fails.
BOUND = 20.0

#: Announces itself, tells each line that it reads and each signal that it gets, and never ends by itself.
STUBBORN = (
    "perl",
    "-e",
    r"""
    $| = 1;
    for my $name (qw(INT TERM HUP)) { $SIG{$name} = sub { print "$name\n" } }
    print "ready\n";
    while (defined(my $line = <STDIN>)) { print "read $line" }
    print "eof\n";
    sleep 1 while 1;
    """,
)

#: Starts a process that no signal to a group and no look at an environment finds, tells its id, and stays.
HIDER = (
    "perl",
    "-MPOSIX",
    "-e",
    r"""
    $| = 1;
    unless (fork) {
        POSIX::setsid();
        exit if fork;
        $SIG{$_} = "IGNORE" for qw(INT TERM HUP);
        %ENV = ();
        exec "/bin/sh", "-c", 'echo hidden $$; exec sleep 1000';
    }
    wait;
    sleep 1000;
    """,
)


def until(true: Callable[[], object], what: str) -> None:
    """Returns when something has become true; fails if that takes too long."""
    end = time.monotonic() + BOUND
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"Not so after {BOUND} seconds: {what}")
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Tells whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != b"Z"


class Room:
    """A directory for runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handles: list[Supervised] = []

    def spec(
        self,
        *argv: str,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        stdin: bytes = b"",
        keep_stdin_open: bool = False,
        interrupt: bytes = b"",
        ladder: tuple[Rung, ...] | None = None,
        sweep_grace: float = 0.2,
        log_limit: int = 1 << 30,
        least_free: int = 0,
    ) -> Spec:
        """Returns the spec of a new run."""
        run_id = RunId(str(uuid.uuid4()))
        return Spec(
            run_id=run_id,
            argv=argv,
            environment={"PATH": os.environ["PATH"]} if environment is None else environment,
            directory=directory or str(self.path),
            log_path=str(self.path / f"{run_id}.ndjson"),
            stdin=stdin,
            keep_stdin_open=keep_stdin_open,
            interrupt=interrupt,
            ladder=ladder,
            sweep_grace=sweep_grace,
            log_limit=log_limit,
            least_free=least_free,
        )

    def start(self, spec: Spec) -> Supervised:
        """Starts a run."""
        handle = starting.start(self.path / spec.run_id, spec)
        self.handles.append(handle)
        return handle

    def adopt(self, run_id: RunId) -> Supervised | ProcessEnd | starting.NeverStarted:
        """Adopts a run that was started in this room."""
        adopted = starting.adopt(self.path / run_id)
        if isinstance(adopted, Supervised):
            self.handles.append(adopted)
        return adopted

    def log(self, run_id: RunId) -> bytes:
        """Returns what a run has printed."""
        path = self.path / f"{run_id}.ndjson"
        return path.read_bytes() if path.exists() else b""

    def wait_for(self, run_id: RunId, text: bytes) -> bytes:
        """Returns a run's log once it contains a text."""
        until(lambda: text in self.log(run_id), f"{text!r} in the log: {self.log(run_id)!r}")
        return self.log(run_id)

    def supervisor(self, run_id: RunId) -> int:
        """Returns the process id of a run's supervisor, once it has started the agent."""
        lock = self.path / run_id / files.LOCK
        until(lambda: lock.exists() and lock.read_bytes().endswith(b"\n"), "the supervisor names itself")
        return int(lock.read_text().split()[0])

    def pid(self, run_id: RunId, word: bytes) -> int:
        """Returns the process id that a run prints after a word, on a line of its own."""
        until(lambda: b"\n" in self.log(run_id).partition(word)[2], f"a line that begins with {word!r}")
        return int(self.log(run_id).partition(word)[2].split()[0])


def write_orders(room: Room, spec: Spec) -> Path:
    """Does what a server does up to the supervisor's start, and returns the run's directory."""
    directory = room.path / spec.run_id
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / files.CONTROL, 0o600)
    files.write_private(directory / files.ORDERS, spec.orders().encode())
    return directory


def end_of(handle: Supervised) -> ProcessEnd:
    """Waits for the end of a run and returns it."""
    assert handle.ended(BOUND), f"run {handle.run_id} has not ended"
    return handle.result()


def times_of(handle: Supervised) -> tuple[float, float]:
    """Returns how old a process is and for how long it has been silent, as its supervisor tells."""
    age, silence = handle.age(), handle.silence()
    assert age is not None
    assert silence is not None
    return age, silence


@contextmanager
def forking() -> Generator[ForkServer]:
    """Has supervisors forked, as a server does."""
    starting.fork_server.prepare()
    try:
        yield starting.fork_server
    finally:
        starting.fork_server.dismiss()


@contextmanager
def room(path: Path, *, forked: bool = False) -> Generator[Room]:
    """Opens a room; when it is left, so are no processes."""
    opened = Room(path)
    try:
        with forking() if forked else nullcontext():
            yield opened
    finally:
        for handle in opened.handles:
            handle.close()
            left = starting.adopt(path / handle.run_id)
            if isinstance(left, Supervised):
                left.stop()
                sweeping.sweep_run(handle.run_id)
                left.ended(BOUND)
                left.close()


#: A server that starts a program, waits for its first words, stops it if it is told to, and stays.
_SERVER = """
import sys
from pathlib import Path
from support import process_room

room = process_room.Room(Path(sys.argv[1]))
from taskgrove_server.processes.spec import Rung
spec = room.spec(*sys.argv[3:], keep_stdin_open=True, ladder=(Rung("SIGTERM", 0.3),))
handle = room.start(spec)
process_room.until(lambda: room.log(spec.run_id), "the program says something")
print(spec.run_id, flush=True)
if sys.argv[2] == "stop":
    room.wait_for(spec.run_id, b"ready")
    handle.stop()
    room.wait_for(spec.run_id, b"TERM")
print("done", flush=True)
sys.stdin.read()
"""


def run_in_a_server_that_is_killed(path: Path, what: str, *argv: str) -> RunId:
    """Starts a program that says something from another process, which is then killed.

    `what` is "start", or "stop" for a server that is killed while the program resists a stop.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(path), what, *argv],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        run_id = RunId(server.stdout.readline().strip())
        assert server.stdout.readline() == "done\n"
        server.send_signal(signal.SIGKILL)
    return run_id
