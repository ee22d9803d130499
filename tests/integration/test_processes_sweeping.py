"""Whatever a run leaves behind is found and ended, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import HIDER, Room, end_of
from taskgrove_server.processes import sweeping


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with process_room.room(tmp_path) as opened:
        yield opened


def test_children_that_a_successful_run_leaves_are_swept(room: Room) -> None:
    handle = room.start(room.spec("sh", "-c", "sleep 1000 & echo left $!; sleep 1000 & exit 0"))
    end = end_of(handle)
    assert (end.exit_code, end.swept, end.survivors) == (0, 2, 0)
    assert not process_room.lives(room.pid(handle.run_id, b"left"))


def test_what_hides_from_groups_and_environments_is_swept_after_success(room: Room) -> None:
    script = HIDER[-1].replace("wait;\n    sleep 1000;", "wait; exit 0;")
    handle = room.start(room.spec(*HIDER[:-1], script))
    end = end_of(handle)
    hidden = room.log(handle.run_id).split()
    assert end.exit_code == 0
    assert end.swept == 1
    assert not hidden or not process_room.lives(int(hidden[1]))


def test_one_that_obeys_has_time_to_and_one_that_is_stopped_too(room: Room) -> None:
    child = "trap 'echo obeyed; exit' TERM; echo $$ >ready; kill -STOP $$; while :; do sleep 0.01; done"
    script = f'setsid sh -c "{child.replace("$", chr(92) + "$")}" & while [ ! -s ready ]; do sleep 0.01; done'
    spec = room.spec("sh", "-c", script, sweep_grace=10)
    end = end_of(room.start(spec))
    assert end.exit_code == 0
    assert b"obeyed" in room.log(spec.run_id)


def test_a_family_that_forks_on_while_it_is_swept_is_ended(room: Room) -> None:
    script = """
        $SIG{TERM} = "IGNORE"; $| = 1; print "ready\\n";
        unless (fork) { POSIX::setsid(); while (time < $^T + 20) { fork and exit; select undef, undef, undef, 0.002 } }
        sleep 1;
    """
    handle = room.start(room.spec("perl", "-MPOSIX", "-e", script, sweep_grace=0.05))
    room.wait_for(handle.run_id, b"ready")
    handle.stop()
    end = end_of(handle)
    assert end.supervised
    assert end.survivors == 0
    assert not sweeping.find(handle.run_id)


def test_errors_of_what_is_swept_are_kept(room: Room) -> None:
    script = "(trap 'echo last words >&2; exit' TERM; touch up; while :; do sleep 0.01; done) & "
    script += "while [ ! -e up ]; do sleep 0.01; done"
    end = end_of(room.start(room.spec("sh", "-c", script, sweep_grace=10)))
    assert "last words" in end.stderr


def test_orphans_that_end_are_reaped_while_the_run_goes_on(room: Room) -> None:
    handle = room.start(room.spec("sh", "-c", "(sleep 0.01 & echo orphan $!) ; cat", keep_stdin_open=True))
    orphan = room.pid(handle.run_id, b"orphan")
    process_room.until(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is reaped")
    assert not handle.ended()


def test_another_run_is_left_alone(room: Room) -> None:
    other = room.start(room.spec("sleep", "1000"))
    room.supervisor(other.run_id)
    process_room.until(lambda: sweeping.find(other.run_id), "the other run is up")
    end_of(room.start(room.spec("sh", "-c", "sleep 1000 & exit 0")))
    assert not other.ended()
    other.stop()
    assert end_of(other).exit_code == 143


def test_a_marker_is_found_as_a_whole_only() -> None:
    run_id = str(uuid.uuid4())
    environment = {"TASKGROVE_RUN_ID": f"{run_id}-2", "X": f"TASKGROVE_RUN_ID={run_id}"}
    with subprocess.Popen(["sleep", "1000"], env=environment) as process:
        try:
            assert [found.pid for found in sweeping.find(f"{run_id}-2")] == [process.pid]
            assert sweeping.find(run_id) == []
        finally:
            process.kill()


def test_what_may_not_be_signalled_is_counted_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(pid, number)

    run_id = str(uuid.uuid4())
    with subprocess.Popen(["sleep", "1000"], env={"TASKGROVE_RUN_ID": run_id}) as process:
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", refuse)
            # Waited for, it would be counted again and again until patience runs out.
            assert sweeping.sweep_run(run_id) == (1, 1)
        process.kill()


def test_a_sweep_with_nothing_to_do_is_over_at_once() -> None:
    looks: list[list[sweeping.Process]] = []

    def look() -> list[sweeping.Process]:
        looks.append(sweeping.find(str(uuid.uuid4())))
        return looks[-1]

    assert sweeping.sweep(look, grace=1000) == (0, 0)
    assert looks == [[]]


def test_without_proc_the_agents_group_and_descendants_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_PROC", "/no/proc")
    script = "sleep 1000 & setsid sleep 1000 & wait"
    with subprocess.Popen(["sh", "-c", script], process_group=0) as process:
        process_room.until(
            lambda: len(sweeping.find("", group=process.pid)) == 3, "the shell and both its children are found"
        )
        found = sweeping.find("", group=process.pid)
        assert os.getpid() not in {one.pid for one in found}
        process.kill()
        process.wait()
        swept, survivors = sweeping.sweep_run("", group=process.pid)
        assert (swept, survivors) == (1, 0)
        # The one with a session of its own has got away: that is what is lost without /proc.
        strays = [one.pid for one in found if process_room.lives(one.pid)]
        assert len(strays) == 1
        os.kill(strays[0], 9)


def test_a_grace_counts_from_when_a_process_was_told_before(tmp_path: Path) -> None:
    mark = f"TASKGROVE_TEST={tmp_path}"
    script = "trap '' TERM; echo ready; sleep 1000; sleep 1000"
    with subprocess.Popen(
        ["sh", "-c", script], env={**os.environ, "TASKGROVE_TEST": str(tmp_path)}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        def look() -> list[sweeping.Process]:
            process.poll()
            return sweeping._find(mark)

        _, left = sweeping.sweep(look, grace=1000, told=lambda _: time.monotonic() - 1000)
        assert left == 0
        assert process.wait(process_room.BOUND) == -9
