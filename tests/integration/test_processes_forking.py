"""Supervisors are forked from one process, which may end at any moment: a run is started all the same, and once."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import BOUND, Room, end_of
from taskgrove_server.processes import files, fork_server, program, starting
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.fork_server import ForkServer
from taskgrove_server.processes.supervised import Supervised

#: Bytes of memory that a supervisor may have for itself.
MOST = 3 << 20


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(fork_server, "PATIENCE", BOUND)
    with process_room.room(tmp_path, forked=True) as opened:
        yield opened


def fork_server_pid() -> int:
    process = starting.fork_server._process
    assert process is not None
    return process.pid


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def open_files(pid: int) -> dict[int, str]:
    return {int(path.name): str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


def is_forked(room: Room, handle: Supervised) -> bool:
    return parent_of(room.supervisor(handle.run_id)) == fork_server_pid()


def test_each_run_gets_a_supervisor_that_is_forked(room: Room) -> None:
    for _ in range(3):
        spec = room.spec("sh", "-c", "cat; echo complaint >&2; read -r line; exit 3", stdin=b"", keep_stdin_open=True)
        handle = room.start(spec)
        supervisor = room.supervisor(spec.run_id)
        assert is_forked(room, handle)
        assert os.getsid(supervisor) == supervisor
        assert Path(f"/proc/{supervisor}/comm").read_text() == f"run {spec.run_id}"[:15] + "\n"
        handle.send(b"hello\n")
        handle.close_stdin()
        end = end_of(handle)
        assert (end.exit_code, end.supervised, end.stderr) == (3, True, "complaint\n")
        assert room.log(spec.run_id) == b"hello\n"


def test_neither_it_nor_a_supervisor_keeps_what_belongs_to_others(room: Room) -> None:
    handles = [room.start(room.spec("cat", keep_stdin_open=True)) for _ in range(3)]
    for handle in handles:
        held = open_files(room.supervisor(handle.run_id))
        assert not [target for target in held.values() if target.startswith("socket:")]
        others = [str(room.path / other.run_id) for other in handles if other is not handle]
        assert not [target for target in held.values() if target.startswith(tuple(others))]
    process_room.until(lambda: set(open_files(fork_server_pid())) == {0, 1, 2}, "it has closed what it was sent")
    # Each ends on its own: none holds the descriptor by which the end of another is known.
    for handle in handles:
        handle.close_stdin()
        assert end_of(handle).exit_code == 0


def test_supervisors_share_their_memory(room: Room) -> None:
    handle = room.start(room.spec("sh", "-c", "echo ready; cat", keep_stdin_open=True))
    room.wait_for(handle.run_id, b"ready")
    rollup = Path(f"/proc/{room.supervisor(handle.run_id)}/smaps_rollup").read_text()
    own = [1024 * int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")]
    assert sum(own) < MOST


def test_no_ended_supervisor_stays_a_zombie(room: Room) -> None:
    for _ in range(3):
        end_of(room.start(room.spec("true")))
    children = Path(f"/proc/{fork_server_pid()}/task/{fork_server_pid()}/children")
    process_room.until(lambda: not children.read_text(), "all are reaped")


def test_one_that_was_killed_is_replaced_and_its_runs_go_on(room: Room) -> None:
    before = room.start(room.spec("cat", keep_stdin_open=True))
    room.supervisor(before.run_id)
    killed = fork_server_pid()
    os.kill(killed, signal.SIGKILL)
    process_room.until(lambda: not process_room.lives(killed), "the end of the fork server")
    after = room.start(room.spec("sh", "-c", "cat; exit 3", keep_stdin_open=True))
    assert is_forked(room, after)
    assert fork_server_pid() != killed
    for handle, code in ((before, 0), (after, 3)):
        handle.send(b"hello\n")
        room.wait_for(handle.run_id, b"hello\n")
        handle.close_stdin()
        assert (end_of(handle).exit_code, handle.result().supervised) == (code, True)


def test_runs_begin_once_each_however_often_it_is_killed(room: Room) -> None:
    handles: list[Supervised] = []
    for number in range(30):
        pid = fork_server_pid()
        # Not before the run is asked for: while it is.
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.00{number % 10}; kill -KILL {pid}"], stderr=subprocess.DEVNULL)
        handles.append(room.start(room.spec("sh", "-c", "echo begun")))
        killer.wait()
    for handle in handles:
        assert end_of(handle).exit_code == 0
        assert room.log(handle.run_id) == b"begun\n"


def test_one_that_is_stopped_holds_nothing_up_and_starts_nothing_later(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = fork_server_pid()
    end_of(room.start(room.spec("true")))  # it is up
    os.kill(stopped, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(fork_server, "PATIENCE", 0.1)
        handle = room.start(room.spec("sh", "-c", "echo begun"))
    assert end_of(handle).exit_code == 0
    process_room.until(lambda: not process_room.lives(stopped), "the end of the fork server")
    assert is_forked(room, room.start(room.spec("cat", keep_stdin_open=True)))
    assert room.log(handle.run_id) == b"begun\n"


class Late(ForkServer):
    """Supervisors that come up without having said so in time. `wait` is called before it is looked for another."""

    def __init__(self, wait: Callable[[Path], None]) -> None:
        super().__init__()
        self._wait = wait

    def fork(self, run_directory: Path, alive: int) -> bool:
        null = subprocess.DEVNULL
        self.process = program.spawn((run_directory,), stdin=null, stdout=alive, stderr=null)
        self._wait(run_directory)
        return False


@pytest.mark.parametrize("delay", [0, 0.02, 0.04, 0.06, 0.08])
def test_of_two_supervisors_one_starts_the_agent_and_its_end_is_told(
    room: Room, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    late = Late(lambda _: time.sleep(delay))
    monkeypatch.setattr(starting, "fork_server", late)
    handle = room.start(room.spec("sh", "-c", "echo begun; cat; exit 3", keep_stdin_open=True))
    room.wait_for(handle.run_id, b"begun")
    assert not handle.ended(0.1)
    handle.close_stdin()
    end = end_of(handle)
    assert (end.exit_code, end.supervised) == (3, True)
    assert room.log(handle.run_id) == b"begun\n"
    late.process.wait(BOUND)


def no_room(*_: object, **__: object) -> subprocess.Popen[bytes]:
    raise BlockingIOError("no room for another process")


def test_where_no_process_can_be_started_a_late_supervisor_starts_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = room.spec("sh", "-c", "echo begun")
    starting.fork_server.dismiss()
    with monkeypatch.context() as patch:
        patch.setattr(program, "spawn", no_room)
        with pytest.raises(BlockingIOError):
            room.start(spec)
    null = subprocess.DEVNULL
    late = program.spawn((room.path / spec.run_id,), stdin=null, stdout=null, stderr=null)
    late.wait(BOUND)
    assert room.log(spec.run_id) == b""
    assert room.adopt(spec.run_id) == starting.NeverStarted()


def test_a_supervisor_that_was_late_but_first_is_kept(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(directory: Path) -> None:
        process_room.until(lambda: not (directory / files.ORDERS).exists(), "the supervisor has begun")
        monkeypatch.setattr(program, "spawn", no_room)

    late = Late(begun)
    monkeypatch.setattr(starting, "fork_server", late)
    handle = room.start(room.spec("sh", "-c", "exit 3"))
    assert end_of(handle).exit_code == 3
    late.process.wait(BOUND)


def test_it_ends_when_it_is_dismissed_and_its_runs_go_on(room: Room) -> None:
    handle = room.start(room.spec("sh", "-c", "cat; exit 3", keep_stdin_open=True))
    pid = fork_server_pid()
    starting.fork_server.dismiss()
    assert not process_room.lives(pid)
    direct = room.start(room.spec("cat", keep_stdin_open=True))
    assert parent_of(room.supervisor(direct.run_id)) == os.getpid()
    for each, code in ((handle, 3), (direct, 0)):
        each.close_stdin()
        assert end_of(each).exit_code == code


def test_it_ends_when_its_server_is_killed_and_its_runs_can_be_adopted(room: Room) -> None:
    spec = room.spec("sh", "-c", "cat; exit 3", keep_stdin_open=True)
    script = (
        "import sys; from pathlib import Path; from support.process_room import Room\n"
        "from taskgrove_server.processes import starting\n"
        f"starting.fork_server.prepare(); room = Room(Path({str(room.path)!r}))\n"
        "spec = room.spec('sh', '-c', 'cat; exit 3', keep_stdin_open=True)\n"
        "handle = room.start(spec)\n"
        "print(starting.fork_server._process.pid, spec.run_id, flush=True); input()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        pid, run_id = server.stdout.readline().split()
        assert process_room.lives(int(pid))
        server.kill()
    process_room.until(lambda: not process_room.lives(int(pid)), "the end of the fork server")
    adopted = room.adopt(type(spec.run_id)(run_id))
    assert isinstance(adopted, Supervised)
    adopted.close_stdin()
    assert end_of(adopted).exit_code == 3


def test_what_a_terminal_or_its_end_sends_does_not_reach_it(room: Room) -> None:
    handle = room.start(room.spec("cat", keep_stdin_open=True))
    for pid in (fork_server_pid(), room.supervisor(handle.run_id)):
        assert os.getsid(pid) == pid
        assert os.getpgid(pid) == pid


def test_one_that_is_short_of_descriptors_is_done_without(room: Room) -> None:
    end_of(room.start(room.spec("true")))
    resource.prlimit(fork_server_pid(), resource.RLIMIT_NOFILE, (3, 3))
    handle = room.start(room.spec("sh", "-c", "echo begun"))
    assert end_of(handle).exit_code == 0
    assert room.log(handle.run_id) == b"begun\n"
    assert process_room.lives(fork_server_pid())


def test_systems_without_its_socket_do_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> tuple[socket.socket, socket.socket]:
        raise OSError("Protocol not supported")

    monkeypatch.setattr(socket, "socketpair", refuse)
    with process_room.room(tmp_path, forked=True) as room:
        assert end_of(room.start(room.spec("sh", "-c", "exit 3"))).exit_code == 3


def test_a_package_that_is_replaced_under_it_changes_nothing_until_it_is_replaced_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = program.PROGRAM.parents[1]
    package = tmp_path / "installed" / source.name
    shutil.copytree(source / "processes", package / "processes", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").touch()
    monkeypatch.setattr(program, "PROGRAM", package / "processes" / "supervisor.py")
    monkeypatch.setattr(fork_server, "PATIENCE", BOUND)
    with process_room.room(tmp_path, forked=True) as room:
        end_of(room.start(room.spec("true")))  # it is up
        aside = (package / "processes").rename(tmp_path / "aside")
        handle = room.start(room.spec("sh", "-c", "echo begun; exit 3"))
        assert end_of(handle).exit_code == 3
        os.kill(fork_server_pid(), signal.SIGKILL)
        broken = end_of(room.start(room.spec("true")))
        assert isinstance(broken, ProcessEnd)
        assert broken.never_started
        aside.rename(package / "processes")
        assert is_forked(room, room.start(room.spec("cat", keep_stdin_open=True)))
