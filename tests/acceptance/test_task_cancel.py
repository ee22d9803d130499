"""Cancel, at every moment of a task's life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_following, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

Outcome = taskgrove.CancelResponse

#: Starts a child that has left its session, and a grandchild that has left its parents and cleared its environment.
#: Both refuse every signal that can be refused. Prints three process ids.
STUBBORN = """
echo $$
setsid sh -c "trap '' HUP INT TERM; echo \\$\\$; while :; do sleep 1; done" &
(env -i setsid sh -c "trap '' HUP INT TERM; echo \\$\\$; while :; do /bin/sleep 1; done" &)
while :; do sleep 1; done
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists and repositories of its own."""
    with RunningServer("--slots", "2", "--retry-pause", "60") as running:
        yield running


def test_a_task_that_waits_rests_at_once_and_never_runs(client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        blocked = tasks_work.make_list(client, gate.pass_through)
        blocking = [client.enqueue(blocked.id, "Block").id for _ in range(2)]
        gate.wait_for_arrivals(2)
        ran = tmp_path / "ran"
        task_list = tasks_work.make_list(client, f"echo ran >> {ran}")
        cancelled, kept = [client.enqueue(task_list.id, title).id for title in ("First", "Second")]
        with Follower(client, cancelled) as follower:
            follower.wait_for(bool, "the watch's opening")
            response = client.cancel(cancelled)
            assert response.outcome == Outcome.OUTCOME_CANCELLED
            assert response.task.state == Task.STATE_CANCELLED
            assert follower.rested() == response.task
        gate.open()
        for task_id in (kept, *blocking):
            assert tasks_work.rest(client, task_id).state == Task.STATE_SUCCEEDED
    assert ran.read_text() == "ran\n"
    assert client.get_task(cancelled) == response.task
    assert tasks_work.runs(client, response.task) == []


def test_a_task_whose_worktree_is_being_made_is_cancelled_without_waiting_for_git(
    client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        tasks_work.add_filter(repository, smudge=f"{gate.pass_through}; cat")
        task_list = tasks_work.make_list(client, f"touch {tmp_path / 'ran'}", repository)
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            response = client.cancel(follower.task_id)
            assert response.outcome == Outcome.OUTCOME_STOPPING
            assert response.task.cancel_requested
            # The gate stays closed: git would never get on.
            task = follower.rested()
    assert task.state == Task.STATE_CANCELLED
    assert repositories.branches(repository) == ["main"]
    assert repositories.worktree_paths(repository) == []
    assert tasks_work.runs(client, task) == []
    assert not (tmp_path / "ran").exists()


def test_nothing_survives_a_cancelled_run(client: taskgrove.Client, repository: Path) -> None:
    task_list = tasks_work.make_list(client, f"echo half > half.txt; {STUBBORN}", repository)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        follower.wait_for(lambda events: len(tasks_following.texts(events)) == 3, "three process ids")
        pids = [int(text) for text in tasks_following.texts(follower.events)]
        (run,) = client.list_runs(follower.task_id)
        assert all(tasks_processes.is_alive(pid) for pid in pids)
        # The grandchild has no marker to be found by.
        assert len(set(pids) & set(tasks_processes.of_runs([run]))) == 2
        response = client.cancel(follower.task_id)
        assert response.outcome == Outcome.OUTCOME_STOPPING
        assert response.task.state == Task.STATE_RUNNING
        # A second one changes nothing.
        assert client.cancel(follower.task_id).outcome == Outcome.OUTCOME_STOPPING
        task = follower.rested()
    assert [pid for pid in pids if tasks_processes.is_alive(pid)] == []
    assert tasks_processes.of_runs([run]) == []
    assert task.state == Task.STATE_CANCELLED
    assert not task.HasField("failure")
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.exit_code) == (Run.STATE_CANCELLED, -1)
    assert not run.HasField("failure")
    assert run.finish_time.ToDatetime() > run.start_time.ToDatetime()
    # Nothing was committed, and nothing was thrown away.
    assert repositories.head(repository, task.worktree.branch) == task.worktree.base_commit
    assert Path(task.worktree.path, "half.txt").exists()


def test_a_program_that_obeys_is_stopped_politely_and_its_last_lines_are_kept(client: taskgrove.Client) -> None:
    polite = "trap 'echo bye; exit 0' TERM INT; echo ready; while :; do sleep 0.1; done"
    with Follower(client, client.enqueue(tasks_work.make_list(client, polite).id, "Do it").id) as follower:
        follower.wait_for_text("ready")
        client.cancel(follower.task_id)
        task = follower.rested()
    assert tasks_following.texts(follower.events) == ["ready", "bye"]
    # It may have ended with success: a cancel is a cancel.
    assert task.state == Task.STATE_CANCELLED
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.exit_code) == (Run.STATE_CANCELLED, -1)


def test_a_cancel_between_a_failure_and_its_retry_ends_the_task(client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "exit 75")
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        tasks_gates.until(
            lambda: [run.state for run in client.list_runs(follower.task_id)] == [Run.STATE_FAILED],
            "the end of the first run",
        )
        # The task waits for 60 seconds now, and holds no slot meanwhile.
        tasks_gates.until(
            lambda: client.get_task(follower.task_id).state == Task.STATE_QUEUED, "the task is back in the queue"
        )
        tasks_gates.until(lambda: client.get_server_info().busy_slots == 0, "the slot is free")
        assert client.cancel(follower.task_id).outcome == Outcome.OUTCOME_CANCELLED
        task = follower.rested()
    assert task.state == Task.STATE_CANCELLED
    assert not task.HasField("failure")
    (run,) = tasks_work.runs(client, task)
    assert run.state == Run.STATE_FAILED


def test_a_cancel_during_the_commit_is_too_late(client: taskgrove.Client, repository: Path, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        tasks_work.add_filter(repository, clean=f"{gate.pass_through}; cat")
        task_list = tasks_work.make_list(client, "echo work > b.filtered", repository)
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            response = client.cancel(follower.task_id)
            assert response.outcome == Outcome.OUTCOME_TOO_LATE
            assert not response.task.cancel_requested
            gate.open()
            task = follower.rested()
    assert task.state == Task.STATE_SUCCEEDED
    assert repositories.git(repository, "show", f"{task.worktree.head_commit}:b.filtered") == "work"


@pytest.mark.parametrize("command", ["echo work > work.txt", "exit 1"])
def test_a_cancel_after_the_end_changes_nothing(client: taskgrove.Client, repository: Path, command: str) -> None:
    task = tasks_work.run(client, command, repository)
    runs = tasks_work.runs(client, task)
    response = client.cancel(task.id)
    assert response.outcome == Outcome.OUTCOME_ALREADY_RESTED
    assert response.task == task
    assert client.get_task(task.id) == task
    assert tasks_work.runs(client, task) == runs


def test_a_task_that_does_not_exist_is_not_cancelled(client: taskgrove.Client) -> None:
    with pytest.raises(taskgrove.TaskNotFound):
        client.cancel("aaaaaaaaaaaa")
