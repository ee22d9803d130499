"""What the server says finds no reader, no room, or nothing to be said on."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import disks, loose_server, tasks_gates, tasks_work
from support.api_calls import Api, request
from support.server import PATIENCE, RunningServer
from taskgrove import errors
from taskgrove.v1.task_pb2 import Task

#: Bytes that a pipe takes before whoever writes has to wait.
PIPE = 64 << 10

DEBUG = ("--log-level", "debug", "--slots", "4")


@pytest.fixture
def place() -> Iterator[RunningServer]:
    """A data directory and a home, for a server that the test starts."""
    server = RunningServer()
    try:
        yield server
    finally:
        server.__exit__()


def run_tasks(place: RunningServer, count: int = 4) -> None:
    """Has tasks done, which has the server log each step."""
    with place.client() as client:
        task_list = tasks_work.make_list(client, "seq 100")
        ids = [client.enqueue(task_list.id, "Count").id for _ in range(count)]
        assert [tasks_work.rest(client, task_id).state for task_id in ids] == [Task.STATE_SUCCEEDED] * count


def say_more_than_pipes_take(place: RunningServer) -> None:
    """Has the server log so many refused calls as fill more than two pipes, its own and its reader's."""
    # Each of these characters is four in the log, of the line that tells of the call.
    text = "\x01" * 64
    with Api(place.target) as api:
        for _ in range(3 * PIPE // (2 * 4 * len(text))):
            assert api.refusal(request("Cancel", task_id=text, request_id=text)).reason == "INVALID_FIELD"


def say_something(place: RunningServer) -> None:
    """Has the server log that a call is refused."""
    with place.client() as client, contextlib.suppress(errors.TaskNotFound):
        client.get_task("x" * 12)


def ended(process: subprocess.Popen[bytes]) -> int:
    """Returns the exit status of a server that is told to stop."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE)


def test_a_pipe_that_nobody_reads_holds_up_nothing(place: RunningServer) -> None:
    with loose_server.started(place, *DEBUG, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        say_more_than_pipes_take(place)
        run_tasks(place)
        assert ended(process) == 0
        assert process.stderr is not None
        assert process.stdout is not None
        with process.stderr, process.stdout:
            assert len(process.stderr.read()) >= PIPE // 2


def test_a_socket_that_nobody_reads_holds_up_nothing(place: RunningServer) -> None:
    # What Node gives to the programs that it starts.
    ours, theirs = socket.socketpair()
    with ours, theirs, loose_server.started(place, *DEBUG, stderr=theirs) as process:
        say_more_than_pipes_take(place)
        run_tasks(place)
        assert ended(process) == 0


def test_lines_that_were_dropped_are_counted_once_there_is_room(place: RunningServer) -> None:
    with loose_server.started(place, *DEBUG, stderr=subprocess.PIPE) as process:
        say_more_than_pipes_take(place)
        assert process.stderr is not None
        with process.stderr as stderr:
            os.set_blocking(stderr.fileno(), False)
            said = bytearray()

            def counted() -> re.Match[bytes] | None:
                said.extend(stderr.read() or b"")
                return re.search(rb"^(\d+) lines were dropped", said, re.MULTILINE)

            found = tasks_gates.until(counted, "the number of lines that were dropped")
            assert int(found[1]) > 0
            # Whole lines come through, and later ones again.
            say_something(place)
            tasks_gates.until(lambda: counted() and bytes(said).endswith(b"'xxxxxxxxxxxx'.\n"), "the next line")
            assert ended(process) == 0


def test_a_reader_that_goes_away_ends_nothing(place: RunningServer) -> None:
    with loose_server.started(place, *DEBUG, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
        run_tasks(place)
        assert ended(process) == 0


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_server_without_standard_error_says_nothing_into_its_files(place: RunningServer, closed: str) -> None:
    with loose_server.started(place, *DEBUG, through=["sh", "-c", f'exec "$@" {closed}', "sh"]) as process:
        say_more_than_pipes_take(place)
        run_tasks(place)
        standard = [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]
        assert not [path for path in standard if path.is_relative_to(place.data)]
        assert ended(process) == 0
    # Nothing was damaged: a second server opens what the first has left.
    with place:
        run_tasks(place, 1)


def test_a_full_disk_below_standard_error_holds_up_nothing(place: RunningServer, tmp_path: Path) -> None:
    with (
        disks.mounted(tmp_path / "disk", "256k") as disk,
        (disk / "log").open("ab") as stderr,
        loose_server.started(place, *DEBUG, stderr=stderr) as process,
        disks.full(disk),
    ):
        run_tasks(place)
        assert ended(process) == 0


def test_a_terminal_that_stops_its_output_holds_up_nothing(place: RunningServer) -> None:
    ours, theirs = os.openpty()
    try:
        with loose_server.started(place, *DEBUG, stderr=theirs) as process:
            say_more_than_pipes_take(place)
            run_tasks(place)
            assert ended(process) == 0
    finally:
        os.close(ours)
        os.close(theirs)


#: Runs a program in the background of a terminal that stops those who write to it from there.
BACKGROUND = """
import fcntl, os, signal, sys, termios
terminal = sys.stderr.fileno()
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
settings = termios.tcgetattr(terminal)
settings[3] |= termios.TOSTOP
termios.tcsetattr(terminal, termios.TCSANOW, settings)
if not (server := os.fork()):
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))
"""


def test_a_terminal_that_stops_who_writes_from_the_background_does_not_stop_the_server(place: RunningServer) -> None:
    ours, theirs = os.openpty()
    through = [sys.executable, "-c", BACKGROUND]
    try:
        with loose_server.started(place, through=through, stderr=theirs, start_new_session=True) as shell:
            server = int((place.data / "lock").read_text())
            assert os.getpgid(server) != os.getpgid(shell.pid)
            run_tasks(place)
            os.kill(server, signal.SIGTERM)
            assert shell.wait(PATIENCE) == 0
            assert b"taskgroved is ready" in os.read(ours, PIPE)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed_ends_a_server_as_sigterm_does_unless_it_is_told_to_go_on(
    place: RunningServer, ignored: bool
) -> None:
    ours, theirs = os.openpty()
    through = ["nohup"] if ignored else []
    leader = [sys.executable, "-c", LEADER, *through]
    with loose_server.started(place, *DEBUG, through=leader, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        run_tasks(place)
        with place.client() as client:
            task = client.enqueue(tasks_work.make_list(client, "sleep 1000").id, "Go on")
            tasks_gates.until(lambda: client.get_task(task.id).state == Task.STATE_RUNNING, "a task that runs")
            os.close(ours)
            if ignored:
                run_tasks(place)
                process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not (place.data / "taskgroved.sock").exists()
    with place, place.client() as client:
        assert client.get_task(task.id).state == Task.STATE_RUNNING
        client.cancel(task.id)
        assert tasks_work.rest(client, task.id).state == Task.STATE_CANCELLED


#: Makes its terminal its own, as a shell does, and becomes another program.
LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(sys.stderr.fileno(), termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


#: Says twenty lines while a function of `os` fails the first times for the thread that passes them on.
FAILING = """
import errno, logging, os, sys, threading
from taskgrove_server import logs

name, error = sys.argv[1:]
honest, left, failed = getattr(os, name), [3], threading.Event()

def fail(*arguments):
    if threading.current_thread().name == "log" and left[0]:
        left[0] -= 1
        if not left[0]:
            failed.set()
        raise OSError(errno.EIO, "Input/output error") if error == "EIO" else MemoryError
    return honest(*arguments)

with logs.passed_on("info"):
    setattr(os, name, fail)
    for number in range(20):
        logging.info("line %d.", number)
        failed.wait(0.02)
    assert failed.wait(30)
    logging.info("the last line.")
print("Ended.", file=sys.stderr)
"""


@pytest.mark.parametrize("error", ["EIO", "MemoryError"])
def test_what_passes_lines_on_outlives_whatever_its_steps_raise(error: str) -> None:
    def said(name: str) -> str:
        command = [sys.executable, "-c", FAILING, name, error]
        return subprocess.run(command, capture_output=True, check=True, text=True, timeout=PATIENCE).stderr

    after_reads = said("read")
    assert all(f"line {number}." in after_reads for number in range(20))
    after_writes = said("write")
    for text in (after_reads, after_writes):
        assert "the last line." in text
        assert text.endswith("Ended.\n")
    assert re.search(r"\d+ lines were dropped", after_writes)
