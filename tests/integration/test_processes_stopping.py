"""A stop climbs its ladder without the server's help, and nothing that runs survives it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import HIDER, STUBBORN, Room, end_of
from taskgrove_server.processes.spec import Rung
from taskgrove_server.processes.supervised import Supervised


@pytest.fixture(params=[False, True], ids=["directly", "forked"])
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    with process_room.room(tmp_path, forked=request.param) as opened:
        yield opened


def test_a_polite_program_is_stopped_at_once_by_sigterm(room: Room) -> None:
    handle = room.start(room.spec("sleep", "1000"))
    room.supervisor(handle.run_id)
    handle.stop()
    end = end_of(handle)
    assert (end.exit_code, end.signal, end.stopped) == (143, 15, True)


def test_a_stop_that_comes_before_the_supervisor_is_up_is_not_lost(room: Room) -> None:
    handle = room.start(room.spec("sleep", "1000"))
    handle.stop()
    end = end_of(handle)
    assert end.stopped
    assert end.exit_code == 143


def test_an_agent_that_can_be_asked_is_asked_first_and_may_end_by_itself(room: Room) -> None:
    spec = room.spec(
        "sh", "-c", "echo ready; read first; read last; echo asked $last; exit 7",
        stdin=b"prompt\n", keep_stdin_open=True, interrupt=b"please\n",
    )  # fmt: skip
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    handle.stop()
    end = end_of(handle)
    assert (end.exit_code, end.stopped) == (7, True)
    assert room.log(spec.run_id) == b"ready\nasked please\n"


def test_the_ladder_is_climbed_rung_by_rung_with_its_graces(room: Room) -> None:
    ladder = (Rung("interrupt", 0.15), Rung("SIGINT", 0.15), Rung("SIGTERM", 0.15))
    spec = room.spec(*STUBBORN, keep_stdin_open=True, interrupt=b"interrupt\n", ladder=ladder)
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    begin = time.monotonic()
    handle.stop()
    end = end_of(handle)
    assert time.monotonic() - begin >= 0.45
    assert room.log(spec.run_id) == b"ready\nread interrupt\neof\nINT\nTERM\n"
    assert (end.exit_code, end.signal) == (137, 9)


def test_a_rung_that_asks_is_skipped_when_nobody_can_hear(room: Room) -> None:
    spec = room.spec(*STUBBORN, interrupt=b"interrupt\n", ladder=(Rung("interrupt", 60), Rung("SIGTERM", 0.1)))
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"eof")
    handle.stop()
    assert end_of(handle).exit_code == 137
    assert room.log(spec.run_id) == b"ready\neof\nTERM\n"


def test_a_second_stop_changes_nothing(room: Room) -> None:
    spec = room.spec(*STUBBORN, ladder=(Rung("SIGINT", 0.2), Rung("SIGTERM", 0.2)))
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"eof")
    handle.stop()
    room.wait_for(spec.run_id, b"INT")
    handle.stop()
    handle.stop()
    end_of(handle)
    assert room.log(spec.run_id) == b"ready\neof\nINT\nTERM\n"


def test_an_agent_that_does_not_read_is_stopped_though_its_input_is_full(room: Room) -> None:
    ladder = (Rung("interrupt", 0.1), Rung("SIGTERM", 5))
    spec = room.spec("sleep", "1000", stdin=b"x" * 1_000_000, keep_stdin_open=True, interrupt=b"stop\n", ladder=ladder)
    handle = room.start(spec)
    handle.stop()
    assert end_of(handle).exit_code == 143


def test_a_stopped_agent_is_continued_and_ends(room: Room) -> None:
    spec = room.spec("sh", "-c", "trap 'exit 9' TERM; echo ready; kill -STOP $$; while :; do sleep 0.01; done")
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    handle.stop()
    assert end_of(handle).exit_code == 9


def test_the_whole_group_gets_the_signal(room: Room) -> None:
    spec = room.spec("sh", "-c", "sh -c 'trap \"echo child; exit\" TERM; echo ready; sleep 60 & wait' & wait")
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    handle.stop()
    end_of(handle)
    assert b"child" in room.log(spec.run_id)


def test_a_stop_leaves_nothing_of_what_hides_from_groups_and_environments(room: Room) -> None:
    handle = room.start(room.spec(*HIDER))
    hidden = room.pid(handle.run_id, b"hidden")
    handle.stop()
    end = end_of(handle)
    assert end.exit_code == 143
    # The one between the agent and the hidden one may be on its way out still.
    assert end.swept in {1, 2}
    assert not process_room.lives(hidden)


def test_a_stop_that_races_with_the_end_always_ends_in_one_piece(room: Room) -> None:
    draw = random.Random(7)  # the same races in each run of the test
    for _ in range(25):
        handle = room.start(room.spec("sh", "-c", "sleep 0.005 & wait; exit 3"))
        handle.ended(draw.uniform(0, 0.06))
        handle.stop()
        end = end_of(handle)
        assert end.supervised
        assert (end.exit_code, end.signal) in {(3, None), (143, 15)}
        if end.exit_code == 143:
            assert end.stopped
        handle.close()


def _close_stdin_over_and_over(handle: Supervised) -> None:
    for _ in range(100_000):
        handle.close_stdin()


def test_a_supervisor_that_somebody_has_stopped_is_complained_of_and_woken_by_a_stop(room: Room) -> None:
    handle = room.start(room.spec("sleep", "1000"))
    supervisor = room.supervisor(handle.run_id)
    os.kill(supervisor, signal.SIGSTOP)
    with pytest.raises(RuntimeError, match="takes no messages"):
        _close_stdin_over_and_over(handle)
    process_room.until(lambda: _stops(handle), "the supervisor takes messages again")
    assert end_of(handle).exit_code == 143


def _stops(handle: Supervised) -> bool:
    try:
        handle.stop()
    except RuntimeError:
        return False
    return True


def test_what_a_server_sends_to_all_its_service_does_not_end_the_supervisor(room: Room) -> None:
    spec = room.spec("cat", keep_stdin_open=True)
    handle = room.start(spec)
    supervisor = room.supervisor(spec.run_id)
    handle.send(b"ready\n")
    room.wait_for(spec.run_id, b"ready")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(supervisor, number)
    handle.send(b"still here\n")
    room.wait_for(spec.run_id, b"still here")
    handle.close_stdin()
    assert end_of(handle).exit_code == 0


#: Tells each SIGTERM with the time, and ignores it.
_IGNORING = "$| = 1; $SIG{TERM} = sub { printf qq(%s %.3f\\n), $name, time }; print qq($name $$\\n); sleep 1 while 1;"


def _times(log: bytes, word: bytes) -> list[float]:
    """Returns the numbers that lines of a log have after a word."""
    return [float(line.split()[1]) for line in log.splitlines() if line.startswith(word)]


def test_tools_in_sessions_of_their_own_have_their_grace_beside_the_agents_but_not_at_its_cost(room: Room) -> None:
    script = (
        f"use Time::HiRes 'time'; if (fork) {{ our $name = 'agent'; {_IGNORING} }}"
        f"POSIX::setsid(); our $name = 'tool'; {_IGNORING}"
    )
    spec = room.spec("perl", "-MPOSIX", "-e", script, ladder=(Rung("SIGTERM", 1.0),), sweep_grace=0.3)
    handle = room.start(spec)
    pids = [room.pid(spec.run_id, word) for word in (b"agent", b"tool")]
    handle.stop()
    end = end_of(handle)
    (_, agent), (_, tool) = (_times(room.log(spec.run_id), word) for word in (b"agent", b"tool"))
    assert end.end_time is not None
    assert agent + 0.5 <= tool <= end.end_time.timestamp()
    assert (end.exit_code, end.swept, end.survivors) == (137, 1, 0)
    assert not any(map(process_room.lives, pids))


def test_what_had_its_grace_together_with_the_agent_gets_no_second_one(room: Room) -> None:
    script = (
        f"use Time::HiRes 'time'; unless (fork) {{ our $name = 'child'; {_IGNORING} }}"
        "$SIG{TERM} = sub { select undef, undef, undef, 0.6; exit 3 }; $| = 1; print qq(agent $$\n); sleep 1 while 1;"
    )
    spec = room.spec("perl", "-e", script, ladder=(Rung("SIGTERM", 30.0),), sweep_grace=0.5)
    handle = room.start(spec)
    pids = [room.pid(spec.run_id, word) for word in (b"agent", b"child")]
    time.sleep(0.02)  # a tick: what is younger than the signal is told once more
    handle.stop()
    end = end_of(handle)
    assert (end.exit_code, end.swept, end.survivors) == (3, 1, 0)
    assert len(_times(room.log(spec.run_id), b"child")) == 2  # when it began, and one signal
    assert not any(map(process_room.lives, pids))
