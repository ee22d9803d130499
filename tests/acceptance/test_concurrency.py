"""Many tasks, many callers, few slots."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task

MANY = 24
FEW = 3


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with many slots."""
    with RunningServer("--slots", str(MANY)) as running:
        yield running


@pytest.fixture(scope="module")
def small_server() -> Iterator[RunningServer]:
    """A server with few slots."""
    with RunningServer("--slots", str(FEW)) as running:
        yield running


def test_many_tasks_at_once_work_on_one_repository_without_a_failure(
    client: taskgrove.Client, repository: Path, tmp_path: Path
) -> None:
    before = tasks_work.snapshot(repository)
    with Gate(tmp_path / "gate") as gate:
        command = f'{gate.pass_through}; cat > prompt.txt; echo "$TASKGROVE_SESSION_ID" > session.txt'
        task_list = tasks_work.make_list(client, command, repository)
        with ThreadPoolExecutor(MANY) as pool:
            enqueued = [pool.submit(client.enqueue, task_list.id, f"Task {number}") for number in range(MANY)]
            gate.wait_for_arrivals(MANY)
            gate.open()  # so that all of them commit at once
            tasks = [tasks_work.rest(client, future.result().id) for future in enqueued]
    assert [(task.state, task.failure.message) for task in tasks] == [(Task.STATE_SUCCEEDED, "")] * MANY
    assert len({task.worktree.path for task in tasks}) == MANY
    assert repositories.worktree_paths(repository) == sorted(task.worktree.path for task in tasks)
    assert repositories.branches(repository) == sorted(["main", *(task.worktree.branch for task in tasks)])
    for task in tasks:
        (run,) = tasks_work.runs(client, task)
        changed = repositories.git(repository, "diff", "--name-only", "main", task.worktree.head_commit)
        assert changed.splitlines() == ["prompt.txt", "session.txt"]
        shown = repositories.git(repository, "show", f"{task.worktree.head_commit}:session.txt")
        assert (shown, run.prompt) == (run.session_id, task.title)
        assert repositories.head(repository, f"{task.worktree.branch}^") == task.worktree.base_commit
        assert repositories.head(repository, task.worktree.branch) == task.worktree.head_commit
    assert tasks_work.snapshot(repository) == before
    repositories.git(repository, "fsck", "--strict")


def test_tasks_begin_once_each_while_what_forks_their_supervisors_is_killed_again_and_again(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    task_list = tasks_work.make_list(client, f'echo "$TASKGROVE_RUN_ID" >> {begun}')
    with ThreadPoolExecutor(1) as pool:
        enqueued = [client.enqueue(task_list.id, f"Task {number}").id for number in range(2 * MANY)]
        resting = pool.submit(lambda: [tasks_work.rest(client, task_id) for task_id in enqueued])
        killed: set[int] = set()
        while not resting.done() or not killed:
            for pid in tasks_processes.fork_servers(server):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.01)
        tasks = resting.result()
    assert [(task.state, task.failure.message) for task in tasks] == [(Task.STATE_SUCCEEDED, "")] * len(tasks)
    runs = [run.id for task in tasks for run in tasks_work.runs(client, task)]
    assert len(runs) == len(tasks)
    assert sorted(begun.read_text().split()) == sorted(runs)


def test_of_several_continues_at_once_one_is_taken(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    callers = 4
    barrier = threading.Barrier(callers, timeout=30)

    def go_on(number: int) -> str:
        barrier.wait()
        try:
            client.continue_task(task.id, f"Prompt {number}")
        except taskgrove.TaskActive:
            return "refused"
        return f"Prompt {number}"

    taken: list[str] = []
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(10):
            answers = list(pool.map(go_on, range(callers)))
            assert sorted(answers)[1:] == ["refused"] * (callers - 1)
            taken += [answer for answer in answers if answer != "refused"]
            assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED
    assert [run.prompt for run in client.list_runs(task.id)] == ["Do it", *taken]


def test_a_slot_runs_its_tasks_in_the_order_of_the_queue(tmp_path: Path) -> None:
    order = tmp_path / "order"
    with RunningServer("--slots", "1") as server, server.client() as client, Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f'{gate.pass_through}; echo "$(cat)" >> {order}')
        tasks = [client.enqueue(task_list.id, f"Task {number}") for number in range(6)]
        other = tasks_work.make_list(client, f'echo "$(cat)" >> {order}')
        tasks += [client.enqueue(other.id, f"Task {number}") for number in range(6, 12)]
        gate.wait_for_arrivals()
        gate.open()
        for task in tasks:
            assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED
    assert order.read_text().splitlines() == [f"Task {number}" for number in range(12)]


def test_never_more_tasks_run_than_there_are_slots(small_server: RunningServer, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    count = 10 * FEW
    with small_server.client() as client, Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, "true")
        tasks: list[Task] = []
        for number in range(count):
            # Appending a short line is atomic, so that the file tells the order of all beginnings and ends. The gate
            # has all slots busy at once; after that the tasks take different times.
            begin, end = (f"echo {sign} {number} >> {journal}" for sign in "+-")
            command = f"{begin}; {gate.pass_through}; sleep 0.0{number % 7}; {end}"
            tasks.append(client.enqueue(task_list.id, f"Task {number}", overrides=tasks_work.shell(command)))
        gate.wait_for_arrivals(FEW)
        gate.open()
        rested = [tasks_work.rest(client, task.id) for task in tasks]
    assert {task.state for task in rested} == {Task.STATE_SUCCEEDED}
    begun: list[int] = []
    running: set[int] = set()
    most = 0
    for line in journal.read_text().splitlines():
        what, number = line[0], int(line[2:])
        if what == "-":
            running.remove(number)
            continue
        running.add(number)
        begun.append(number)
        most = max(most, len(running))
        # Those before it in the queue have begun, or are on their way in the other slots.
        assert len(set(range(number)) - set(begun)) < FEW, begun
    assert most == FEW
    assert sorted(begun) == list(range(count))


def test_many_threads_enqueue_at_once(client: taskgrove.Client, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    task_list = tasks_work.make_list(client, f'echo "$(cat)" >> {ran}')
    titles = [f"Task {number}" for number in range(50)]
    with ThreadPoolExecutor(16) as pool:
        enqueued = [pool.submit(client.enqueue, task_list.id, title) for title in titles]
        queued = [future.result() for future in enqueued]
    rested = [tasks_work.rest(client, task.id) for task in queued]
    assert {task.state for task in rested} == {Task.STATE_SUCCEEDED}
    assert len({task.id for task in queued}) == 50
    assert [task.title for task in rested] == titles
    assert sorted(ran.read_text().splitlines()) == sorted(titles)
    assert {task.id for task in client.list_tasks(task_list_id=task_list.id)} == {task.id for task in queued}


def test_a_continue_that_is_repeated_with_its_request_id_counts_once(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    for _ in range(3):
        client.continue_task(task.id, "Go on.", request_id="once-and-for-all")
        assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED
    assert len(tasks_work.runs(client, task)) == 2
