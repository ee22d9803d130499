"""A run outlives its server, and the next server finds out what became of it."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import BOUND, HIDER, STUBBORN, Room, end_of
from taskgrove_server.processes import exits, files, program, sweeping
from taskgrove_server.processes.ending import ProcessEnd
from taskgrove_server.processes.starting import NeverStarted
from taskgrove_server.processes.supervised import Supervised


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


def _supervise(directory: Path, program: Path = program.PROGRAM) -> bytes:
    """Runs a supervisor to its end and returns what it complains of."""
    command = [sys.executable, "-I", "-S", str(program), str(directory)]
    return subprocess.run(command, timeout=BOUND, capture_output=True, check=False).stderr


def test_a_run_goes_on_when_its_server_is_killed_and_the_next_one_sees_its_end(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(room.path, "start", "sh", "-c", "echo ready; cat; exit 42")
    adopted = room.adopt(run_id)
    assert isinstance(adopted, Supervised)
    assert adopted.run_id == run_id
    adopted.send(b"from the next server\n")
    room.wait_for(run_id, b"from the next server\n")
    assert not adopted.ended()
    adopted.close_stdin()
    end = end_of(adopted)
    assert (end.exit_code, end.supervised, end.stopped) == (42, True, False)
    assert room.log(run_id) == b"ready\nfrom the next server\n"


def test_a_stop_goes_on_when_its_server_is_killed_half_way(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(room.path, "stop", *STUBBORN)
    adopted = room.adopt(run_id)
    assert not isinstance(adopted, NeverStarted)
    end = adopted if isinstance(adopted, ProcessEnd) else end_of(adopted)
    assert (end.exit_code, end.stopped) == (137, True)


def test_an_adopted_run_can_be_stopped(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(room.path, "start", *HIDER)
    hidden = room.pid(run_id, b"hidden")
    adopted = room.adopt(run_id)
    assert isinstance(adopted, Supervised)
    adopted.stop()
    end = end_of(adopted)
    assert (end.exit_code, end.stopped, end.swept) == (143, True, 1)
    assert not process_room.lives(hidden)


def test_a_run_that_ended_meanwhile_tells_its_end_however_often_it_is_asked(room: Room) -> None:
    handle = room.start(room.spec("sh", "-c", "echo why >&2; exit 6"))
    end = end_of(handle)
    assert (end.exit_code, end.stderr) == (6, "why\n")
    assert room.adopt(handle.run_id) == end
    assert room.adopt(handle.run_id) == end


def test_a_killed_supervisor_is_noticed_and_its_run_is_swept(room: Room) -> None:
    script = "echo why >&2; setsid sh -c 'echo tool $$; exec sleep 1000' & echo agent $$; wait"
    spec = room.spec("sh", "-c", script)
    handle = room.start(spec)
    pids = [room.pid(spec.run_id, word) for word in (b"tool", b"agent")]
    process_room.until((room.path / spec.run_id / files.STDERR).read_bytes, "the error is on disk already")
    os.kill(room.supervisor(spec.run_id), 9)
    end = end_of(handle)
    assert (end.exit_code, end.supervised, end.spawn_error, end.never_started) == (None, False, None, False)
    assert end.stderr == "why\n"
    assert end.swept == 2
    assert not any(map(process_room.lives, pids))


def test_a_run_whose_supervisor_was_killed_too_is_swept_when_it_is_adopted(room: Room) -> None:
    run_id = process_room.run_in_a_server_that_is_killed(
        room.path, "start", "sh", "-c", "sleep 1000 & echo agent $$; wait"
    )
    agent = room.pid(run_id, b"agent")
    supervisor = room.supervisor(run_id)
    watch = exits.watch(supervisor, lambda: None)
    os.kill(supervisor, 9)
    process_room.until(lambda: not process_room.lives(supervisor), "the supervisor is gone")
    os.close(watch)
    end = room.adopt(run_id)
    assert isinstance(end, ProcessEnd)
    assert (end.exit_code, end.supervised) == (None, False)
    assert not process_room.lives(agent)
    assert not sweeping.find(run_id)


def test_a_supervisor_that_is_killed_before_the_start_is_told_from_one_that_was_not(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo started")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "PROGRAM", Path("/no/such/supervisor.py"))
        handle = room.start(spec)
    end = end_of(handle)
    assert end.exit_code is None
    assert not end.supervised
    assert end.never_started
    assert end.spawn_error == "The supervisor ended before it had started the program."
    assert "/no/such/supervisor.py" in end.stderr
    # As after a kill of the server before it has stored that.
    assert end_of(handle) == end
    assert isinstance(room.adopt(spec.run_id), NeverStarted)
    assert not (room.path / spec.run_id / files.ORDERS).exists()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the server's package, in which files can be replaced."""
    source = program.PROGRAM.parents[1]
    package = tmp_path / "installed" / source.name
    shutil.copytree(source / "processes", package / "processes", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").touch()
    return package / "processes"


@pytest.mark.parametrize("missing", ["supervisor.py", "launching.py", "orders.py"])
def test_a_package_that_is_being_replaced_is_told_from_an_agent_that_failed(
    room: Room, installed: Path, missing: str
) -> None:
    (installed / missing).unlink()
    spec = room.spec("sh", "-c", "echo started")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "PROGRAM", installed / "supervisor.py")
        end = end_of(room.start(spec))
    assert (end.never_started, end.exit_code, end.supervised) == (True, None, False)
    assert not Path(spec.log_path).exists()


@pytest.mark.parametrize("content", [None, "def", "import nowhere"])
def test_an_agent_lives_though_the_package_is_replaced_while_it_starts(
    room: Room, installed: Path, content: str | None
) -> None:
    module = installed / "supervising.py"
    aside = module.rename(installed / "aside")
    if content is not None:
        module.write_text(content)
    spec = room.spec("sh", "-c", "touch started; cat; exit 3", stdin=b"hello\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "PROGRAM", installed / "supervisor.py")
        handle = room.start(spec)
    process_room.until((room.path / "started").exists, "the agent is started")
    assert not handle.ended(0.2)
    aside.rename(module)
    end = end_of(handle)
    assert (end.exit_code, end.supervised) == (3, True)
    assert room.log(spec.run_id) == b"hello\n"


def test_a_supervisor_that_fails_takes_its_agent_with_it_and_says_why(room: Room) -> None:
    spec = room.spec("sleep", "1000")
    directory = process_room.write_orders(room, spec)
    (directory / files.CONTROL).unlink()
    assert b"FileNotFoundError" in _supervise(directory)
    end = room.adopt(spec.run_id)
    assert isinstance(end, ProcessEnd)
    assert (end.exit_code, end.supervised) == (None, False)
    assert not sweeping.find(spec.run_id)


def test_a_supervisor_that_comes_late_finds_its_run_given_up_and_starts_nothing(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo started")
    directory = process_room.write_orders(room, spec)
    assert room.adopt(spec.run_id) == NeverStarted()
    assert not _supervise(directory)
    assert not Path(spec.log_path).exists()
    assert room.adopt(spec.run_id) == NeverStarted()


def test_a_supervisor_that_finds_its_lock_taken_starts_nothing(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo started")
    directory = process_room.write_orders(room, spec)
    with (directory / files.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not _supervise(directory)
    assert not Path(spec.log_path).exists()
    assert not _supervise(directory)  # the proof that only the lock kept it from starting
    assert room.log(spec.run_id) == b"started\n"
    assert not _supervise(directory)
    assert room.log(spec.run_id) == b"started\n"


def test_an_adoption_that_races_with_the_start_tells_the_truth(room: Room) -> None:
    draw = random.Random(7)  # the same races in each run of the test
    seen: set[type] = set()
    for delay in (*(draw.uniform(0, 0.04) for _ in range(24)), None):
        spec = room.spec("sh", "-c", "echo started; cat", keep_stdin_open=True)
        handle = room.start(spec)
        if delay is None:
            # On a machine that is busy enough, all the others come too early.
            room.wait_for(spec.run_id, b"started")
        else:
            handle.ended(delay)
        adopted = room.adopt(spec.run_id)
        seen.add(type(adopted))
        if adopted == NeverStarted():
            assert end_of(handle).spawn_error is None
            assert not Path(spec.log_path).exists()
        else:
            assert isinstance(adopted, Supervised)
            adopted.close_stdin()
            assert end_of(adopted).exit_code == 0
            assert room.log(spec.run_id) == b"started\n"
    assert Supervised in seen


def test_a_run_that_no_server_came_to_start_was_never_started(room: Room) -> None:
    spec = room.spec("true")
    assert room.adopt(spec.run_id) == NeverStarted()
    (room.path / spec.run_id).mkdir()
    assert room.adopt(spec.run_id) == NeverStarted()


def test_a_lock_that_names_a_stranger_is_not_taken_for_a_supervisor(room: Room) -> None:
    """The id that a dead supervisor wrote belongs to another process by now."""
    handle = room.start(room.spec("true"))
    end = end_of(handle)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        (room.path / handle.run_id / files.LOCK).write_text(f"{stranger.pid} {handle.run_id}\n")
        assert room.adopt(handle.run_id) == end
        assert stranger.poll() is None
        stranger.kill()


def test_a_supervisor_that_ends_while_it_is_looked_at_is_not_mistaken_for_a_stranger(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = room.start(room.spec("true"))
    end = end_of(handle)
    path = room.path / handle.run_id / files.LOCK
    watch = exits.watch
    with path.open("r+") as lock:

        def watch_late(pid: int, wait: Callable[[], object]) -> int:
            lock.close()
            return watch(pid, wait)

        fcntl.flock(lock, fcntl.LOCK_EX)
        path.write_text(f"{os.getpid()} {handle.run_id}\n")
        monkeypatch.setattr(exits, "watch", watch_late)
        assert room.adopt(handle.run_id) == end


def test_an_adopted_end_can_be_waited_for_without_descriptors_of_processes(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    spec = room.spec("cat", keep_stdin_open=True)
    handle = room.start(spec)
    room.supervisor(spec.run_id)
    adopted = room.adopt(spec.run_id)
    assert isinstance(adopted, Supervised)
    assert not adopted.ended(0.05)
    assert not handle.ended()
    adopted.close_stdin()
    assert end_of(adopted) == end_of(handle)
    assert handle.result().exit_code == 0
