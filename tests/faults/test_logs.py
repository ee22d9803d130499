"""A log that somebody cuts or deletes while the server is at work on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import repositories, tasks_following, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.task_pb2 import Task


def log_of(client: taskgrove.Client, task_id: str) -> Path:
    return Path(next(iter(client.list_runs(task_id))).log_path)


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_a_line(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


@pytest.mark.parametrize("cut", [cut_off, cut_in_a_line])
def test_who_watches_a_log_that_is_cut_is_told_and_the_run_still_has_its_outcome(
    client: taskgrove.Client, repository: Path, tmp_path: Path, cut: Callable[[Path], None]
) -> None:
    with Gate(tmp_path / "gate") as gate:
        command = f"echo one; echo two; {gate.pass_through}; echo work > work.txt; echo three"
        task_list = tasks_work.make_list(client, command, repository)
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            follower.wait_for_text("two")
            cut(log_of(client, follower.task_id))
            # At once, not only when there are further lines.
            with pytest.raises(taskgrove.LogLost) as lost:
                follower.rested()
            assert lost.value.code == grpc.StatusCode.DATA_LOSS
            assert lost.value.metadata == {"task_id": follower.task_id, "line": "3"}
            with pytest.raises(taskgrove.LogLost):
                list(client.watch(follower.task_id))
            gate.open()
            task = tasks_work.rest_unwatched(client, follower.task_id)
    assert (task.state, task.failure.message) == (Task.STATE_SUCCEEDED, "")
    assert repositories.git(repository, "show", f"{task.worktree.branch}:work.txt") == "work"
    # The lines that were counted keep their numbers, and those of the next run come after them.
    assert task.last_line == 2
    with pytest.raises(taskgrove.LogLost):
        list(client.watch(task.id))
    client.continue_task(task.id, "Go on.")
    with Follower(client, task.id, after_line=task.last_line) as follower:
        assert follower.rested().state == Task.STATE_SUCCEEDED
    assert tasks_following.numbers_are_dense(follower.events, first=3)
    assert tasks_following.texts(follower.events) == ["one", "two", "three"]


def test_a_log_that_is_deleted_is_read_on_by_those_who_have_it_open(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"echo one; {gate.pass_through}; echo two")
        with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
            follower.wait_for_text("one")
            log_of(client, follower.task_id).unlink()
            with pytest.raises(taskgrove.LogLost) as lost:
                list(client.watch(follower.task_id))
            assert lost.value.metadata == {"task_id": follower.task_id, "line": "1"}
            gate.open()
            task = follower.rested()
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "one\ntwo")
    assert tasks_following.texts(follower.events) == ["one", "two"]
    assert tasks_following.numbers_are_dense(follower.events)
    assert "Traceback" not in server.log.read_text()
