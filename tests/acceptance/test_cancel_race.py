"""Cancel against success: exactly one of the two wins, and everybody is told the same."""

from __future__ import annotations

import collections
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_chance, tasks_following, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

Outcome = taskgrove.CancelResponse

RACES = 200
AT_ONCE = 6

WINS = {
    Outcome.OUTCOME_CANCELLED: Task.STATE_CANCELLED,
    Outcome.OUTCOME_STOPPING: Task.STATE_CANCELLED,
    Outcome.OUTCOME_TOO_LATE: Task.STATE_SUCCEEDED,
    Outcome.OUTCOME_ALREADY_RESTED: Task.STATE_SUCCEEDED,
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with as many slots as there are races at a time, so that none waits."""
    with RunningServer("--slots", str(AT_ONCE)) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Race:
    """One cancel, and what came of it."""

    outcome: taskgrove.CancelResponse.Outcome
    task: Task
    events: list[taskgrove.WatchEvent]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a task takes when so many run at once: in all, and from the agent's last word to its rest."""

    life: float
    settling: float


def measure(client: taskgrove.Client, task_list_id: str) -> Pace:
    start = time.monotonic()
    with Follower(client, client.enqueue(task_list_id, "Measure").id) as follower:
        follower.wait_for_text("done")
        said = time.monotonic()
        assert follower.rested().state == Task.STATE_SUCCEEDED
    end = time.monotonic()
    return Pace(end - start, end - said)


@pytest.mark.timeout(180)
def test_a_cancel_that_races_a_success_has_one_outcome_for_all(client: taskgrove.Client, repository: Path) -> None:
    chance = tasks_chance.seeded()
    task_list = tasks_work.make_list(client, "echo work > work.txt; echo done", repository)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        measured = [pool.submit(measure, client, task_list.id) for _ in range(2 * AT_ONCE)]
        paces = [future.result() for future in measured]
        pace = Pace(statistics.median(pace.life for pace in paces), statistics.median(pace.settling for pace in paces))

        def run(number: int, part: float) -> Race:
            # Half of them over the whole life, half where it is decided: from the agent's last word on.
            with Follower(client, client.enqueue(task_list.id, f"Race {number}").id) as follower:
                if number % 2:
                    follower.wait_for_text("done")
                    time.sleep(part * pace.settling)
                else:
                    time.sleep(part * pace.life)
                outcome = client.cancel(follower.task_id).outcome
                return Race(outcome, follower.rested(), follower.events)

        running = [pool.submit(run, number, chance.uniform(0, 1.1)) for number in range(RACES)]
        races = [future.result() for future in running]
    counts = collections.Counter(Outcome.Outcome.Name(race.outcome) for race in races)
    for race in races:
        assert race.task.state == WINS[race.outcome], race
        assert tasks_following.terminal_states(race.events) == {race.task.state}
    check_rows(client, repository, [race.task for race in races])
    assert {race.task.state for race in races} == {Task.STATE_SUCCEEDED, Task.STATE_CANCELLED}, (pace, counts)
    assert counts["OUTCOME_STOPPING"] > 0, (pace, counts)
    # No slot was lost on the way.
    assert tasks_work.rest(client, client.enqueue(task_list.id, "After").id).state == Task.STATE_SUCCEEDED


def check_rows(client: taskgrove.Client, repository: Path, tasks: list[Task]) -> None:
    """Checks that rows, commits and processes agree with the state that the watchers were told, still."""
    run_rows: list[taskgrove.Run] = []
    for task in tasks:
        assert client.get_task(task.id) == task
        own = tasks_work.runs(client, task)
        run_rows += own
        if task.state == Task.STATE_SUCCEEDED:
            assert [run.state for run in own] == [Run.STATE_SUCCEEDED]
            assert repositories.head(repository, task.worktree.branch) == task.worktree.head_commit
            assert task.worktree.head_commit != task.worktree.base_commit
        else:
            assert [(run.state, run.exit_code) for run in own] in ([], [(Run.STATE_CANCELLED, -1)])
            assert (task.result, task.worktree.head_commit) == ("", "")
            if task.HasField("worktree"):
                assert repositories.head(repository, task.worktree.branch) == task.worktree.base_commit
    assert tasks_processes.of_runs(run_rows) == []
