"""The server is killed beside the answer to a call, which its caller makes again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from support import api_changes, repositories
from support.api_calls import Api
from support.api_changes import CHANGES, Change
from support.server import RunningServer


@pytest.fixture
def death(tmp_path: Path) -> Path:
    return tmp_path / "death"


@pytest.fixture
def server(death: Path) -> Iterator[RunningServer]:
    environment = {"TASKGROVE_TEST_DEATH": str(death), "PYTHONPATH": str(Path(__file__).parents[1])}
    slots = str(api_changes.SLOTS)
    with RunningServer("--slots", slots, environment=environment, module="support.forgetful_server") as running:
        yield running


def lose(server: RunningServer, death: Path, change: Change, moment: str) -> Any:
    """Makes a call at which the server dies, and again of the next server."""
    method = type(change.message).__name__.removesuffix("Request")
    death.write_text(f"{method} {moment}")
    with Api(server.target) as api, pytest.raises(grpc.RpcError) as caught:
        api.call(change.message)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    server.wait()
    death.unlink()
    server.start()
    with Api(server.target) as api:
        return api.call(change.message)


def assert_done_once(method: str, server: RunningServer, change: Change, answer: Any) -> None:
    """Fails the test unless a call was done, and once, and its answer says so."""
    message, repository = change.message, change.repository
    with server.client() as client:
        if method == "UpdateTask":
            assert client.get_task(message.task_id).title == answer.task.title == "New"
        elif method == "UpdateSubtask":
            assert answer.task.subtasks[0].completed
            assert client.get_task(message.task_id) == answer.task
        elif method == "UpdateTaskList":
            assert client.get_task_list(message.task_list_id) == answer.task_list
            assert answer.task_list.title == "New"
        elif method == "DeleteTaskList":
            assert message.task_list_id not in {one.id for one in client.list_task_lists()}
    if repository is None:
        return
    saved = repositories.git(repository, "for-each-ref", "--format=%(refname)", "refs/taskgrove/saved").splitlines()
    if method == "DeleteTask":
        assert [answer.saved_ref] == saved
    elif method == "DiscardWorktree":
        assert [answer.removal.saved_ref] == saved
        assert answer.task.worktree.saved_ref == answer.removal.saved_ref
    elif method == "Land":
        trailers = "--format=%(trailers:key=Taskgrove-Task,valueonly)"
        landed = repositories.git(repository, "log", "--merges", trailers, "main").split()
        assert landed == [message.task_id]
        assert answer.task.worktree.landing.commit == repositories.git(repository, "rev-parse", "main")
    elif method == "PushBranch":
        assert (answer.remote_branch, answer.commit) == ("pushed", repositories.git(repository, "rev-parse", "pushed"))
    else:
        assert_pruned(server, change, answer, saved)


def assert_pruned(server: RunningServer, change: Change, answer: Any, saved: list[str]) -> None:
    """Fails the test unless the first answer and those for what it says is left tell of all that was removed."""
    removals = list(answer.removals)
    number = 0
    with Api(server.target) as api:
        while answer.more:
            number += 1
            change.message.request_id = f"more-{number}"
            answer = api.call(change.message)
            removals += answer.removals
    assert change.repository
    assert not repositories.worktree_paths(change.repository)
    assert len({removal.task_id for removal in removals}) == len(removals)
    assert sorted(removal.saved_ref for removal in removals if removal.saved_ref) == saved


@pytest.mark.parametrize("method", CHANGES)
def test_killed_after_the_deed_was_stored_and_before_it_was_answered(
    server: RunningServer, tmp_path: Path, death: Path, method: str
) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        answer = lose(server, death, change, "answering")
        assert_done_once(method, server, change, answer)
        if method == "PruneWorktrees":
            assert len(answer.removals) == 2
            assert not answer.more


@pytest.mark.parametrize("method", CHANGES)
def test_killed_after_the_deed_and_before_it_was_stored(
    server: RunningServer, tmp_path: Path, death: Path, method: str
) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        answer = lose(server, death, change, "recording")
        assert_done_once(method, server, change, answer)
