"""The server is killed while runs go on, and the next one sees them through."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import (
    repositories,
    tasks_chance,
    tasks_counting,
    tasks_following,
    tasks_gates,
    tasks_processes,
    tasks_work,
)
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

SLOTS = 3


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of the test's own, to be killed."""
    with RunningServer("--slots", str(SLOTS), "--retry-pause", "0.1") as running:
        yield running


@pytest.fixture
def moments() -> random.Random:
    """Chooses when."""
    return tasks_chance.seeded()


def test_runs_go_on_and_their_watchers_see_every_line_once(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path, moments: random.Random
) -> None:
    count, ran = 150, tmp_path / "ran"
    task_list = tasks_work.make_list(client, tasks_counting.command(count, ran), repository)
    followers = [Follower(client, client.enqueue(task_list.id, f"Task {n}").id) for n in range(SLOTS)]
    for follower in followers:
        follower.wait_for_text("1")
    for _ in range(3):
        time.sleep(moments.uniform(0, 0.5))
        server.kill()
        server.start()
    for follower in followers:
        tasks_counting.check_one_run_and_one_commit(client, repository, follower.rested(), ran)
        assert tasks_following.texts(follower.events) == [str(number) for number in range(1, count + 1)]
        assert tasks_following.numbers_are_dense(follower.events)
        assert tasks_following.data(follower.events) == tasks_work.logged(list(client.list_runs(follower.task_id)))


def test_tasks_live_through_a_kill_at_any_moment(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path, moments: random.Random
) -> None:
    ran = tmp_path / "ran"
    command = f'echo "$TASKGROVE_SESSION_ID" >> {ran}; echo "$TASKGROVE_SESSION_ID" > work.txt; echo done'
    task_list = tasks_work.make_list(client, command, repository)
    followers = [Follower(client, client.enqueue(task_list.id, f"Task {n}").id) for n in range(6 * SLOTS)]
    for _ in range(5):
        time.sleep(moments.uniform(0, 0.3))
        server.kill()
        server.start()
    for follower in followers:
        tasks_counting.check_one_run_and_one_commit(client, repository, follower.rested(), ran)
        assert tasks_following.texts(follower.events) == ["done"]
        assert tasks_following.terminal_states(follower.events) == {Task.STATE_SUCCEEDED}
    assert len(ran.read_text().splitlines()) == len(followers)
    tasks = list(client.list_tasks(task_list_id=task_list.id))
    assert repositories.worktree_paths(repository) == sorted(task.worktree.path for task in tasks)
    assert repositories.branches(repository) == sorted(["main", *(task.worktree.branch for task in tasks)])
    assert "Traceback" not in server.log.read_text()


def test_a_cancel_is_carried_out_by_the_next_server(
    server: RunningServer, client: taskgrove.Client, moments: random.Random
) -> None:
    stubborn = "trap '' HUP INT TERM; echo $$; setsid sh -c 'echo $$; sleep 1000' & while :; do sleep 1; done"
    task_list = tasks_work.make_list(client, stubborn)
    followers = [Follower(client, client.enqueue(task_list.id, f"Task {n}").id) for n in range(SLOTS)]
    for follower in followers:
        follower.wait_for(lambda events: len(tasks_following.texts(events)) == 2, "two process ids")
    pids = [int(text) for follower in followers for text in tasks_following.texts(follower.events)]
    # One at once, one a little later: the ladder is under way, or about to begin.
    for follower in followers:
        assert client.cancel(follower.task_id).outcome == taskgrove.CancelResponse.OUTCOME_STOPPING
        time.sleep(moments.uniform(0, 0.02))
    server.kill()
    server.start()
    for follower in followers:
        task = follower.rested()
        assert task.state == Task.STATE_CANCELLED
        (run,) = tasks_work.runs(client, task)
        assert (run.state, run.exit_code) == (Run.STATE_CANCELLED, -1)
        assert tasks_processes.of_runs([run]) == []
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []


def test_a_run_whose_supervisor_was_killed_as_well_is_interrupted_and_can_be_continued(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    command = """
    echo "$TASKGROVE_SESSION_ID" >> sessions; [ "$TASKGROVE_RESUMES" = 0 ] || exit 0
    echo $$; setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & while :; do sleep 1; done
    """
    task_list = tasks_work.make_list(client, command, repository)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for(lambda events: len(tasks_following.texts(events)) == 2, "two process ids")
        pids = [int(text) for text in tasks_following.texts(follower.events)]
        (supervisor,) = tasks_processes.supervisors(server)
        server.kill()
        os.kill(supervisor, signal.SIGKILL)
        server.start()
        task = follower.rested()
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERRUPTED
    assert task.failure.retryable
    (run,) = tasks_work.runs(client, task)
    assert run.state == Run.STATE_FAILED
    assert tasks_processes.of_runs([run]) == []
    assert tasks_following.data(follower.events) == tasks_work.logged([run])
    client.continue_task(task.id, "Go on.")
    task = tasks_work.rest(client, task.id)
    assert task.state == Task.STATE_SUCCEEDED
    assert Path(task.worktree.path, "sessions").read_text() == f"{run.session_id}\n" * 2


@pytest.mark.parametrize(
    ("code", "state"), [(0, Task.STATE_SUCCEEDED), (1, Task.STATE_FAILED), (75, Task.STATE_SUCCEEDED)]
)
def test_a_run_that_ended_while_no_server_was_there_has_its_outcome(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path, code: int, state: Task.State
) -> None:
    with Gate(tmp_path / "gate") as gate:
        command = (
            f"echo before; {gate.pass_through}; echo work > work.txt; echo after; "
            f"exit $(({code} * (1 - $TASKGROVE_RESUMES)))"
        )
        task_list = tasks_work.make_list(client, command, repository)
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            follower.wait_for_text("before")
            (supervisor,) = tasks_processes.supervisors(server)
            server.kill()
            gate.open()
            tasks_gates.until(lambda: not tasks_processes.is_alive(supervisor), "the end of the supervisor")
            server.start()
            task = follower.rested()
    assert task.state == state
    runs = tasks_work.runs(client, task)
    assert [run.exit_code for run in runs] == ([75, 0] if code == 75 else [code])
    assert tasks_following.texts(follower.events) == ["before", "after"] * len(runs)
    assert tasks_following.data(follower.events) == tasks_work.logged(runs)
    if state == Task.STATE_SUCCEEDED:
        assert repositories.git(repository, "show", f"{task.worktree.head_commit}:work.txt") == "work"
        assert repositories.head(repository, f"{task.worktree.branch}^") == task.worktree.base_commit


def test_a_run_that_cannot_be_taken_up_does_not_keep_the_server_from_starting(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo $$; {gate.pass_through}; echo end")
        followers = [Follower(client, client.enqueue(task_list.id, f"Task {n}").id) for n in range(SLOTS)]
        for follower in followers:
            follower.wait_for(tasks_following.texts, "a process id")
        broken, *others = followers
        server.kill()
        # As after a downgrade, to a server that does not have the agent.
        tasks_work.execute(server, "UPDATE run SET agent = 'later' WHERE task_id = ?", broken.task_id)
        server.start()
        task = broken.rested()
        gate.open()
        for follower in others:
            assert follower.rested().state == Task.STATE_SUCCEEDED
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERNAL
    assert task.failure.message.startswith("Unhandled error: ")
    assert "Traceback" in server.log.read_text()
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.failure) == (Run.STATE_FAILED, task.failure)
    assert tasks_processes.of_runs([run]) == []
    # The slot is not lost.
    client.update_task_list(task_list.id, defaults=tasks_work.shell("cat"))
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Next").id).result == "Next"
    client.continue_task(task.id, "Go on.")
    assert tasks_work.rest(client, task.id).result == "Go on."


def test_the_directory_of_a_run_that_was_never_recorded_is_removed(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"{gate.pass_through}; echo fine")
        task = client.enqueue(task_list.id, "Do it")
        gate.wait_for_arrivals()
        (run,) = tasks_work.runs(client, task)
        server.kill()
        # As of a server that is killed between the two steps.
        (server.data / "runs" / "norunhasthis").mkdir()
        server.start()
        assert [directory.name for directory in (server.data / "runs").iterdir()] == [run.id]
    assert tasks_work.rest(client, task.id).result == "fine"
