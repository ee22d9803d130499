"""The machine's clock is set back, or forward, under the server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import taskgrove
from support import tasks_following, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

DAY = 86400


class Clock:
    """The server's clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.step(0)

    def step(self, seconds: int) -> None:
        """Sets the clock forward against the machine's, or back."""
        new = self.path.with_name("new")
        new.write_text(str(seconds))
        new.rename(self.path)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that is right."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(clock: Clock) -> Iterator[RunningServer]:
    """A server that goes by that clock."""
    environment = {"TASKGROVE_TEST_CLOCK": str(clock.path), "PYTHONPATH": str(Path(__file__).parents[1])}
    with RunningServer("--slots", "1", environment=environment, module="support.stepping_server") as running:
        yield running


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("step", [-DAY, DAY // 12, 9 * 3600])
def test_a_step_of_the_clock_neither_ends_a_run_nor_turns_time_around(
    server: RunningServer, client: taskgrove.Client, clock: Clock, tmp_path: Path, step: int, *, restarts: bool
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
        with Follower(client, client.enqueue(task_list.id, "First").id) as follower:
            follower.wait_for_text("one")
            clock.step(step)
            if restarts:
                server.kill()
                server.start()
            # The order of the queue and of pages is not one of times.
            later = [client.enqueue(task_list.id, f"Task {number}").id for number in range(3)]
            gate.open()
            task = follower.rested()
            tasks = [task, *(tasks_work.rest(client, task_id) for task_id in later)]
    assert tasks_following.texts(follower.events) == ["one", "two"]
    assert [listed.id for listed in client.list_tasks()] == [one.id for one in reversed(tasks)]
    for one in tasks:
        assert one.state == Task.STATE_SUCCEEDED
        (run,) = tasks_work.runs(client, one)
        assert run.finish_time.ToDatetime() >= run.start_time.ToDatetime()
        assert one.finish_time.ToDatetime() >= one.start_time.ToDatetime()
    started = tasks[-1].start_time.ToDatetime(UTC)
    assert abs(started - datetime.now(UTC) - timedelta(seconds=step)) < timedelta(minutes=10)


def test_a_run_that_is_taken_up_hours_later_by_the_clock_is_no_older_than_it_is(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    hours = 9 * 3600
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            follower.wait_for_text("one")
            (run,) = client.list_runs(follower.task_id)
            server.kill()
            # What lies there looks just so when the clock jumps forward.
            began = run.start_time.ToMicroseconds() - hours * 10**6
            tasks_work.execute(server, "UPDATE run SET start_time = ? WHERE id = ?", began, run.id)
            log = Path(run.log_path)
            grew = log.stat().st_mtime - hours
            os.utime(log, (grew, grew))
            server.start()
            tasks_gates.until(lambda: "is taken up" in server.log.read_text(), "the run is taken up")
            # The slot's thread decides before it serves another wish.
            assert client.cancel(client.enqueue(task_list.id, "Another").id).task.state == Task.STATE_CANCELLED
            gate.open()
            task = follower.rested()
    assert (task.state, task.run_count, task.failure.message) == (Task.STATE_SUCCEEDED, 1, "")
    assert tasks_following.texts(follower.events) == ["one", "two"]


def test_limits_hold_though_the_clock_was_set_back(
    server: RunningServer, client: taskgrove.Client, clock: Clock
) -> None:
    defaults = tasks_work.shell("echo $$; exec sleep 1000", run_timeout=timedelta(seconds=3))
    task_list = client.create_task_list("A list", defaults=defaults)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for(tasks_following.texts, "a process id")
        clock.step(-DAY)
        server.kill()
        server.start()
        tasks_gates.until(lambda: "is taken up" in server.log.read_text(), "the run is taken up")
        task = follower.rested()
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_TIMEOUT
    assert tasks_processes.of_runs(tasks_work.runs(client, task)) == []
