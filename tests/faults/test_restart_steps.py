"""The server is killed between runs, or while it does what comes before and after them."""

from __future__ import annotations

import random
import shutil
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


def test_tasks_that_wait_keep_their_places(server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with Gate(tmp_path / "gate") as gate:
        blocked = tasks_work.make_list(client, gate.pass_through)
        blocking = [client.enqueue(blocked.id, "Block").id for _ in range(SLOTS)]
        gate.wait_for_arrivals(SLOTS)
        task_list = tasks_work.make_list(client, f'echo "$(cat)" >> {ran}')
        waiting = [client.enqueue(task_list.id, f"Task {number}").id for number in range(6)]
        cancelled = client.enqueue(task_list.id, "Cancelled").id
        client.cancel(cancelled)
        server.kill()
        # A server with one slot, in which the order shows: the adopted runs have slots of their own.
        server.start("--slots", "1")
        assert [client.get_task(task_id).state for task_id in waiting] == [Task.STATE_QUEUED] * 6
        assert not ran.exists()
        gate.open()
        for task_id in (*blocking, *waiting):
            task = tasks_work.rest(client, task_id)
            assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)
    assert ran.read_text().splitlines() == [f"Task {number}" for number in range(6)]
    assert client.get_task(cancelled).state == Task.STATE_CANCELLED


def test_a_retry_that_begins_while_the_next_server_starts_is_its_own(
    client: taskgrove.Client, server: RunningServer, tmp_path: Path
) -> None:
    """Those that are taken up first begin their next run while the last ones are still being taken up."""
    server.terminate()
    many = 24
    server.start("--slots", str(many), "--retry-pause", "3600")
    once = tmp_path / "once"
    once.mkdir()
    task_list = tasks_work.make_list(client, f'mkdir "{once}/$TASKGROVE_SESSION_ID" && exit 75; exit 0')
    task_ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(many)]

    def all_have_failed() -> bool:
        return all([run.state for run in client.list_runs(task_id)] == [Run.STATE_FAILED] for task_id in task_ids)

    tasks_gates.until(all_have_failed, "the first runs", patience=90)
    server.kill()
    server.start("--slots", str(many), "--retry-pause", "0")
    for task_id in task_ids:
        task = tasks_work.rest(client, task_id)
        assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 2), task.failure


def test_a_worktree_that_was_being_made_is_made_anew(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with Gate(tmp_path / "gate") as gate:
        tasks_work.add_filter(repository, smudge=f"{gate.pass_through}; cat")
        task_list = tasks_work.make_list(client, tasks_counting.command(1, ran), repository)
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            server.kill()
            server.start()
            # Git, with the filter in it, may be at work still while the next server begins.
            gate.wait_for_arrivals(2)
            gate.open()
            tasks_counting.check_one_run_and_one_commit(client, repository, task := follower.rested(), ran)
    assert repositories.branches(repository) == ["main", task.worktree.branch]
    assert repositories.worktree_paths(repository) == [task.worktree.path]
    assert repositories.git(task.worktree.path, "status", "--porcelain") == ""


def test_a_commit_that_was_being_made_is_made_once(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with Gate(tmp_path / "gate") as gate:
        tasks_work.add_filter(repository, clean=f"{gate.pass_through}; cat")
        task_list = tasks_work.make_list(
            client, f"{tasks_counting.command(1, ran)}; echo new > new.filtered", repository
        )
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            assert client.cancel(follower.task_id).outcome == taskgrove.CancelResponse.OUTCOME_TOO_LATE
            server.kill()
            server.start()
            gate.wait_for_arrivals(2)
            # It is too late still.
            assert client.cancel(follower.task_id).outcome == taskgrove.CancelResponse.OUTCOME_TOO_LATE
            gate.open()
            tasks_counting.check_one_run_and_one_commit(client, repository, task := follower.rested(), ran)
    assert repositories.git(repository, "show", f"{task.worktree.branch}:new.filtered") == "new"


def test_a_retry_that_was_due_is_made_by_the_next_server(client: taskgrove.Client, server: RunningServer) -> None:
    server.kill()
    server.start("--retry-pause", "60")
    task_list = tasks_work.make_list(client, 'echo hello; [ "$TASKGROVE_RESUMES" = 1 ] || exit 75')
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        tasks_gates.until(
            lambda: [run.state for run in client.list_runs(follower.task_id)] == [Run.STATE_FAILED],
            "the end of the first run",
        )
        server.kill()
        server.start()
        task = follower.rested()
    assert task.state == Task.STATE_SUCCEEDED
    assert [run.is_retry for run in tasks_work.runs(client, task)] == [False, True]
    assert tasks_following.texts(follower.events) == ["hello"] * 2


def test_a_retry_that_an_earlier_server_made_is_the_last(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f'[ "$TASKGROVE_RESUMES" = 0 ] || {{ {gate.pass_through}; }}; exit 75')
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        server.kill()
        server.start()
        gate.open()
        task = tasks_work.rest(client, task_id)
    assert task.state == Task.STATE_FAILED
    assert [run.is_retry for run in tasks_work.runs(client, task)] == [False, True]


def test_a_continue_that_was_acknowledged_is_carried_out(
    server: RunningServer, client: taskgrove.Client, moments: random.Random
) -> None:
    tasks = [tasks_work.run(client, "cat") for _ in range(SLOTS)]
    for task in tasks:
        client.continue_task(task.id, "Go on.")
        time.sleep(moments.uniform(0, 0.02))
    server.kill()
    server.start()
    for task in tasks:
        rested = tasks_work.rest(client, task.id)
        assert (rested.state, rested.result, rested.run_count) == (Task.STATE_SUCCEEDED, "Go on.", 2)


def test_what_was_begun_for_a_task_that_was_cancelled_is_removed_by_the_next_server(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    """As when a shortage kept git from removing it, and the task was cancelled where it waited."""
    with Gate(tmp_path / "gate") as gate:
        busy = tasks_work.make_list(client, gate.pass_through)
        for _ in range(SLOTS):
            client.enqueue(busy.id, "Take a slot")
        gate.wait_for_arrivals(SLOTS)
        task_list = tasks_work.make_list(client, "true", repository)
        ids = [client.enqueue(task_list.id, "Never begins").id for _ in range(5)]
        for task_id in ids:
            client.cancel(task_id)
    server.kill()
    names = [f"taskgrove/{task_id}-never-begins" for task_id in ids]
    _, without_branch, without_directory, without_worktree, worked_on = names
    places = [server.data / "worktrees" / task_id for task_id in ids[:3]]
    for branch, place in zip(names, places, strict=False):
        repositories.git(repository, "worktree", "add", "--quiet", "--lock", "-b", branch, str(place))
    repositories.git(repository, "update-ref", "-d", f"refs/heads/{without_branch}")
    repositories.git(repository, "update-ref", "-d", f"refs/heads/{without_directory}")
    shutil.rmtree(places[2])
    repositories.git(repository, "branch", without_worktree)
    repositories.git(repository, "branch", worked_on)
    aside = tmp_path / "aside"
    repositories.git(repository, "worktree", "add", "--quiet", str(aside), worked_on)
    repositories.commit(aside, {"work.txt": "work\n"}, "Somebody's work")
    server.start()
    tasks_gates.until(lambda: repositories.worktree_paths(repository) == [str(aside)], "the worktrees are removed")
    tasks_gates.until(lambda: repositories.branches(repository) == ["main", worked_on], "the branches are removed")
    assert not any(place.exists() for place in places)
