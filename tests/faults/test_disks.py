"""The disk is full, locked or read-only: nothing is lost, and all goes on by itself when the cause is gone."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import disks, repositories, tasks_following, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server whose data directory is a disk of its own, of 24 MiB."""
    running = RunningServer("--slots", "2", "--retry-pause", "0.1", "--min-free-space", "4")
    with disks.mounted(running.data, "24m"), running:
        yield running


def is_waiting(server: RunningServer) -> bool:
    return "A step waits to be done" in server.log.read_text()


def free(disk: Path) -> int:
    room = os.statvfs(disk)
    return room.f_bavail * room.f_frsize


def test_a_run_whose_log_fills_the_disk_waits_for_room_and_all_else_goes_on(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        much = tasks_work.make_list(client, 'head -c 40000000 /dev/zero | tr "\\0" x | fold -w 999')
        little = tasks_work.make_list(client, f"{gate.pass_through}; cat")
        beside = client.enqueue(little.id, "Beside").id
        gate.wait_for_arrivals()
        with Follower(client, client.enqueue(much.id, "Too much").id) as follower:
            tasks_gates.until(lambda: free(server.data) < 7 << 20, "the disk is nearly full")
            # What runs beside it ends, and is stored; what is enqueued is started.
            gate.open()
            assert tasks_work.rest(client, beside).state == Task.STATE_SUCCEEDED
            assert tasks_work.rest(client, client.enqueue(little.id, "Next").id).state == Task.STATE_SUCCEEDED
            assert "No task is started" not in server.log.read_text()
            assert free(server.data) > 4 << 20
            assert client.get_task(follower.task_id).state == Task.STATE_RUNNING
            disks.resize(server.data, "128m")
            task = follower.rested()
            assert (task.state, task.run_count, task.failure.message) == (Task.STATE_SUCCEEDED, 1, "")
    (run,) = tasks_work.runs(client, task)
    printed = "".join(tasks_following.texts(follower.events))
    assert len(printed) == 40_000_000
    assert tasks_following.data(follower.events) == tasks_work.logged([run])


def test_a_run_that_waits_for_room_is_not_silent(tmp_path: Path) -> None:
    running = RunningServer("--min-free-space", "4", "--stall-timeout", "1")
    with disks.mounted(running.data, "24m"), running as server, server.client() as client:
        task_list = tasks_work.make_list(client, 'head -c 40000000 /dev/zero | tr "\\0" x | fold -w 999')
        with Follower(client, client.enqueue(task_list.id, "Too much").id) as follower:
            tasks_gates.until(lambda: free(server.data) < 7 << 20, "the disk is nearly full")
            size = [0]

            def waits() -> bool:
                size.append(Path(next(iter(client.list_runs(follower.task_id))).log_path).stat().st_size)
                time.sleep(0.05)
                # For three times as long as it may be silent.
                return len(set(size[-60:])) == 1

            tasks_gates.until(waits, "the agent waits")
            # A server that takes it up finds it no more silent.
            server.kill()
            server.start()
            tasks_gates.until(lambda: "is taken up" in server.log.read_text(), "the run is taken up")
            size.clear()
            tasks_gates.until(waits, "the agent waits still")
            assert client.get_task(follower.task_id).state == Task.STATE_RUNNING
            disks.resize(server.data, "128m")
            task = follower.rested()
    assert (task.state, task.run_count, task.failure.message) == (Task.STATE_SUCCEEDED, 1, "")


def test_a_run_that_waits_for_room_can_be_cancelled(server: RunningServer, client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "yes")
    with Follower(client, client.enqueue(task_list.id, "Too much").id) as follower:
        tasks_gates.until(lambda: free(server.data) < 7 << 20, "the disk is nearly full")
        client.cancel(follower.task_id)
        assert follower.rested().state == Task.STATE_CANCELLED
    assert tasks_processes.of_runs(client.list_runs(follower.task_id)) == []


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"{gate.pass_through}; yes | head -n 100000")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            gate.wait_for_arrivals()
            with disks.full(server.data):
                gate.open()
                path = Path(next(iter(client.list_runs(follower.task_id))).log_path)
                # A page of the file may have been there already.
                tasks_gates.until(lambda: tasks_processes.of_runs(client.list_runs(follower.task_id)), "it runs")
                with pytest.raises(AssertionError, match="not within"):
                    tasks_gates.until(lambda: path.stat().st_size > 1 << 16, "the log grows", patience=1)
            task = follower.rested()
    assert (task.state, task.run_count, task.failure.message) == (Task.STATE_SUCCEEDED, 1, "")
    assert tasks_following.texts(follower.events) == ["y"] * 100_000


def test_a_run_that_dies_on_a_full_disk_fails_with_that_and_the_next_wait_for_room(
    server: RunningServer, client: taskgrove.Client
) -> None:
    # It fills the disk with its work, and ends without a word, as an agent does that cannot write its session.
    dies = tasks_work.make_list(client, "head -c 100000000 /dev/zero > fill 2>/dev/null; kill -KILL $PPID")
    ordinary = tasks_work.make_list(client, "cat")
    with Follower(client, client.enqueue(dies.id, "Too much").id) as follower:
        # As long as the disk is full, the end of the run cannot be stored either.
        tasks_gates.until(lambda: is_waiting(server), "the end of the run waits to be stored")
        running = client.get_task(follower.task_id)
        assert running.state == Task.STATE_RUNNING
        with pytest.raises(taskgrove.StoreUnavailable) as refused:
            client.enqueue(ordinary.id, "Refused", description="x" * 100_000)
        assert refused.value.code == grpc.StatusCode.UNAVAILABLE
        assert refused.value.retry_delay == 1
        # Somebody makes a little room, but not enough for another run.
        fill = Path(running.directory, "fill")
        os.truncate(fill, fill.stat().st_size - (1 << 20))
        waiting = tasks_gates.until(lambda: enqueued(client, ordinary), "a task is taken")
        failed = follower.rested()
        assert (failed.state, failed.failure.kind) == (
            Task.STATE_FAILED,
            taskgrove.FailureKind.FAILURE_KIND_DISK_FULL,
        )
        assert failed.failure.retryable
        assert client.get_task(waiting.id).state == Task.STATE_QUEUED
        fill.unlink()
        task = tasks_work.rest(client, waiting.id)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "Waiting")
    assert "No task is started" in server.log.read_text()


def enqueued(client: taskgrove.Client, task_list: taskgrove.TaskList) -> Task | None:
    try:
        return client.enqueue(task_list.id, "Waiting")
    except taskgrove.StoreUnavailable:
        return None


def first_line(client: taskgrove.Client, task_id: str) -> taskgrove.Line:
    with client.watch(task_id) as watch:
        return next(event for event in watch if isinstance(event, taskgrove.Line))


def test_what_cannot_be_stored_is_refused_or_waits_and_what_is_stored_can_be_read(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"cat; echo; {gate.pass_through}")
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        # The agent is at the gate before what it has printed is in the log, which would wait for room then.
        first_line(client, task_id)
        with disks.full(server.data):
            # A small change may fit into what the database has in reserve; a title of this size does not.
            for method in (
                lambda: client.enqueue(task_list.id, "Refused", description="x" * 100_000),
                lambda: client.create_task_list("Refused", defaults=taskgrove.run_config(system_prompt="x" * 100_000)),
            ):
                with pytest.raises(taskgrove.StoreUnavailable, match="full"):
                    method()
            assert [task.id for task in client.list_tasks()] == [task_id]
            assert first_line(client, task_id).json()["text"] == "Do it"
            gate.open()
            tasks_gates.until(lambda: is_waiting(server), "the end of the run waits to be stored")
            assert client.get_task(task_id).state == Task.STATE_RUNNING
        task = tasks_work.rest(client, task_id)
    (run,) = tasks_work.runs(client, task)
    assert (task.state, run.state, run.exit_code) == (Task.STATE_SUCCEEDED, Run.STATE_SUCCEEDED, 0)
    assert tasks_following.data(client.watch(task_id)) == tasks_work.logged([run])
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Next").id).state == Task.STATE_SUCCEEDED


def test_a_server_that_is_killed_on_a_full_disk_loses_nothing(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        running, waiting = [client.enqueue(task_list.id, title).id for title in ("Running", "Waiting")]
        gate.wait_for_arrivals(2)
        with disks.full(server.data):
            server.kill()
            # The few changes of a start may fit into what the database has in reserve; if not, it says so.
            try:
                server.start()
            except AssertionError as ended:
                assert "taskgroved: " in str(ended)  # noqa: PT017 - only if it ended
                assert "Traceback" not in str(ended)  # noqa: PT017
            server.kill()
        server.start()
        gate.open()
        for task_id in (running, waiting):
            task = tasks_work.rest(client, task_id)
            assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)


def test_a_commit_waits_for_room_in_the_repository(tmp_path: Path) -> None:
    with (
        disks.mounted(tmp_path / "small", "8m") as disk,
        RunningServer("--slots", "1") as server,
        server.client() as client,
    ):
        repository = repositories.make_repository(disk / "repository", files={"README.md": "hello\n"})
        before = tasks_work.snapshot(repository)
        with Gate(tmp_path / "gate") as gate:
            command = f"head -c 2000000 /dev/urandom > work.bin; {gate.pass_through}"
            task_list = tasks_work.make_list(client, command, repository)
            task_id = client.enqueue(task_list.id, "Do it").id
            gate.wait_for_arrivals()
            with disks.full(disk):
                gate.open()
                tasks_gates.until(lambda: is_waiting(server), "the commit waits for room")
                assert client.get_task(task_id).state == Task.STATE_RUNNING
                # The agent's work is done, and paid for: it is not thrown away.
                assert client.cancel(task_id).outcome == taskgrove.CancelResponse.OUTCOME_TOO_LATE
            task = tasks_work.rest(client, task_id)
        assert (task.state, task.failure.message) == (Task.STATE_SUCCEEDED, "")
        assert repositories.head(repository, f"{task.worktree.branch}^") == task.worktree.base_commit
        assert repositories.git(repository, "cat-file", "-s", f"{task.worktree.branch}:work.bin") == "2000000"
        assert tasks_work.snapshot(repository) == before


def test_a_database_that_another_process_has_locked_is_waited_for(tmp_path: Path) -> None:
    with RunningServer("--slots", "1") as server, server.client() as client, Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        other = sqlite3.connect(server.data / "taskgrove.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(taskgrove.StoreUnavailable, match="locked"):
                client.enqueue(task_list.id, "Refused")
            assert [task.title for task in client.list_tasks()] == ["Do it"]
            gate.open()
            tasks_gates.until(lambda: is_waiting(server), "the end of the run waits to be stored")
        finally:
            other.close()
        assert tasks_work.rest(client, task_id).state == Task.STATE_SUCCEEDED
        assert [task.title for task in client.list_tasks()] == ["Do it"]


def test_a_data_directory_that_cannot_be_written_is_refused_at_the_start(
    server: RunningServer, client: taskgrove.Client
) -> None:
    task = tasks_work.run(client, "echo hello")
    server.terminate()
    with disks.read_only(server.data):
        with pytest.raises(AssertionError, match="Read-only file system") as ended:
            server.start()
        assert "taskgroved: " in str(ended.value)
        assert "Traceback" not in str(ended.value)
    server.start()
    assert client.get_task(task.id) == task


def test_a_database_that_is_damaged_is_refused_at_the_start(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "echo hello")
    server.terminate()
    database = server.data / "taskgrove.db"
    sound = database.read_bytes()
    pages = len(sound) // 4096
    # The file's head is good, and so is what a start needs to read.
    database.write_bytes(
        sound[:4096] + bytes(reversed(sound[4096 : 4096 * (pages // 2)])) + sound[4096 * (pages // 2) :]
    )
    with pytest.raises(AssertionError, match=r"taskgroved: The database .*taskgrove\.db") as ended:
        server.start()
    assert "Restore it from a backup" in str(ended.value)
    assert "Traceback" not in str(ended.value)
    database.write_bytes(sound)
    server.start()
    assert client.get_task(task.id) == task
