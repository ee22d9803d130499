"""Calls that change something, made again: done once, answered alike."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support import api_changes, api_snapshots, repositories, tasks_gates, tasks_slow, tasks_verdict, tasks_work
from support.api_calls import Api, refusal_of, request
from support.api_changes import CHANGES, Change
from support.api_services import METHODS
from support.server import RunningServer
from support.tasks_land import Project

#: test_api_request_ids.py and test_clear_away.py have these.
QUEUEING = {"CreateTaskList", "Enqueue", "Continue", "Cancel", "RetryTask"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer("--slots", str(api_changes.SLOTS)) as running:
        yield running


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    with Api(server.target) as connected:
        yield connected


@pytest.fixture(autouse=True)
def fresh_ids(server: RunningServer) -> None:
    """Has the server forget what earlier tests have asked."""
    with tasks_work.connected(server) as database:
        database.execute("DELETE FROM request")


def with_fields(message: Any, /, **fields: Any) -> Any:
    """Returns a message with other fields."""
    copy = type(message)()
    copy.CopyFrom(message)
    for name in fields:
        copy.ClearField(name)
    copy.MergeFrom(type(message)(**fields))
    return copy


def checkouts(change: Change) -> list[Path]:
    return [change.repository] if change.repository else []


def test_every_call_that_changes_something_has_a_request_id() -> None:
    assert {name for name, method in METHODS.items() if "request_id" in method.input_type.fields_by_name} == {
        *CHANGES,
        *QUEUEING,
    }


@pytest.mark.parametrize("method", CHANGES)
def test_a_call_made_again_is_done_once_and_answered_alike(
    server: RunningServer, api: Api, tmp_path: Path, method: str
) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        first = api.call(change.message)
        with api_snapshots.unchanged(server.data, *checkouts(change)):
            assert api.call(change.message) == first


@pytest.mark.parametrize("method", CHANGES)
def test_an_id_is_good_for_one_body(server: RunningServer, api: Api, tmp_path: Path, method: str) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        api.call(change.message)
        with api_snapshots.unchanged(server.data, *checkouts(change)):
            other = api.refusal(with_fields(change.message, **change.other))
            elsewhere = api.refusal(request("CreateTaskList", title="Other", request_id="once"))
    for refusal in (other, elsewhere):
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


@pytest.mark.parametrize("method", CHANGES)
def test_calls_with_one_id_at_the_same_moment_are_done_once(server: RunningServer, tmp_path: Path, method: str) -> None:
    together = threading.Barrier(6)

    def call(message: Any) -> Any:
        with Api(server.target) as api:
            together.wait(tasks_gates.PATIENCE)
            return api.call(message)

    with api_changes.prepared(method, server, tmp_path) as change, ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(call, [change.message] * 6)
        assert all(other == first for other in others)
        with Api(server.target) as api, api_snapshots.unchanged(server.data, *checkouts(change)):
            assert api.call(change.message) == first


@pytest.mark.parametrize("method", CHANGES)
def test_without_an_id_every_call_counts(server: RunningServer, api: Api, tmp_path: Path, method: str) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        api.call(with_fields(change.message, request_id=""))
        assert not rows_of_requests(server, "once")
        # The same call with an id is a new one.
        if method in ("UpdateTask", "UpdateSubtask", "UpdateTaskList"):
            assert api.refusal(change.message).reason == "ETAG_MISMATCH"
        elif method in ("DeleteTask", "DeleteTaskList"):
            assert refusal_of(lambda: api.call(change.message)).code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["DiscardWorktree", "PruneWorktrees"])
def test_a_dry_run_uses_up_no_id(server: RunningServer, api: Api, tmp_path: Path, method: str) -> None:
    with api_changes.prepared(method, server, tmp_path) as change:
        api.call(with_fields(change.message, dry_run=True))
        assert not rows_of_requests(server, "once")
        assert change.repository
        before = repositories.worktree_paths(change.repository)
        api.call(change.message)
        assert repositories.worktree_paths(change.repository) != before


def rows_of_requests(server: RunningServer, request_id: str) -> list[Any]:
    with tasks_work.connected(server) as database:
        return database.execute("SELECT * FROM request WHERE id = ?", (request_id,)).fetchall()


#: Calls that wait for git at a gate, each for a task with work in a file that is filtered.
HELD: dict[str, Callable[[str], Any]] = {
    "Land": lambda task_id: request("Land", task_id=task_id, commit_uncommitted=True, request_id="once"),
    "DiscardWorktree": lambda task_id: request("DiscardWorktree", task_id=task_id, request_id="once"),
    "DeleteTask": lambda task_id: request("DeleteTask", task_id=task_id, discard_worktree=True, request_id="once"),
    "PruneWorktrees": lambda _: request("PruneWorktrees", rested_for={"seconds": 0}, request_id="once"),
    "PushBranch": lambda task_id: request("PushBranch", task_id=task_id, request_id="once"),
}


@pytest.mark.parametrize("method", HELD)
def test_a_repeat_waits_for_the_first_call_that_is_still_at_work(
    server: RunningServer, api: Api, tmp_path: Path, method: str
) -> None:
    with server.client() as client, tasks_gates.Gate(tmp_path / "gate") as gate:
        project = Project(client, tmp_path / "repository")
        project.git("remote", "add", "origin", str(repositories.make_bare_repository(tmp_path / "remote")))
        tasks_work.add_filter(project.path)
        # What was committed is pushed; the others save or land what was not.
        task = project.run("echo more > a.filtered" + ("" if method == "PushBranch" else "; exit 1"))
        message = HELD[method](task.id)
        if method == "PushBranch":
            tasks_slow.program(tmp_path / "remote/hooks/pre-receive", gate.pass_through)
        else:
            tasks_work.set_filter(project.path, clean=f"sh -c '{gate.pass_through}; cat'")
        with ThreadPoolExecutor(2) as pool, Api(server.target) as other:
            first = pool.submit(api.call, message)
            gate.wait_for_arrivals()
            second = pool.submit(other.call, message)
            other_body = {"rested_for": {"seconds": 9}} if method == "PruneWorktrees" else {"task_id": "a" * 12}
            refusal = api.refusal(with_fields(message, **other_body))
            assert refusal.reason == "REQUEST_ID_REUSED"
            assert not second.done()
            gate.open()
            assert first.result(tasks_gates.PATIENCE) == second.result(tasks_gates.PATIENCE)
        tasks_work.set_filter(project.path)


@pytest.mark.parametrize("method", [name for name in HELD if name != "PushBranch"])
def test_a_call_whose_caller_gave_up_is_answered_when_it_is_made_again(
    server: RunningServer, api: Api, tmp_path: Path, method: str
) -> None:
    with server.client() as client, tasks_gates.Gate(tmp_path / "gate") as gate:
        project = Project(client, tmp_path / "repository")
        tasks_work.add_filter(project.path)
        task = project.run("echo more > a.filtered; exit 1")
        tasks_work.set_filter(project.path, clean=f"sh -c '{gate.pass_through}; cat'")
        message = HELD[method](task.id)
        with Api(server.target) as leaving:
            calling = leaving.begin(message)
            gate.wait_for_arrivals()
            calling.cancel()
        with ThreadPoolExecutor(1) as pool:
            again = pool.submit(api.call, message)
            gate.open()
            answer = again.result(tasks_gates.PATIENCE)
        tasks_work.set_filter(project.path)
        assert api.call(message) == answer
        saved = project.refs(task.id)
        if method == "Land":
            assert answer.task.worktree.landing.commit == project.git("rev-parse", "main")
        elif method == "DeleteTask":
            assert [answer.saved_ref] == saved
        elif method == "DiscardWorktree":
            assert [answer.removal.saved_ref] == saved
        else:
            assert [removal.saved_ref for removal in answer.removals if removal.task_id == task.id] == saved


def test_a_push_ends_with_its_caller_and_is_made_when_it_is_asked_for_again(
    server: RunningServer, api: Api, tmp_path: Path
) -> None:
    with server.client() as client, tasks_gates.Gate(tmp_path / "gate") as gate:
        project = Project(client, tmp_path / "repository")
        remote = repositories.make_bare_repository(tmp_path / "remote")
        project.git("remote", "add", "origin", str(remote))
        task = project.run("echo x > x")
        hook = tasks_slow.program(remote / "hooks/pre-receive", gate.pass_through)
        message = HELD["PushBranch"](task.id)
        with Api(server.target) as leaving:
            calling = leaving.begin(message)
            gate.wait_for_arrivals()
            calling.cancel()

        def pushed() -> Any:
            # Until the first has ended the second is told to come back.
            with contextlib.suppress(grpc.RpcError):
                return api.call(message)

        hook.unlink()
        answer = tasks_gates.until(pushed, "the push")
        assert answer.commit == repositories.git(remote, "rev-parse", answer.remote_branch) == task.worktree.head_commit
        assert api.call(message) == answer


def test_an_update_with_an_etag_is_told_that_it_was_done(server: RunningServer, tmp_path: Path) -> None:
    """As gRPC repeats it by itself: the very same message, after the answer was lost."""
    with server.client() as client:
        task_list = client.create_task_list("Old")
        updated = client.update_task_list(task_list.id, title="New", etag=task_list.etag, request_id="etag")
        assert client.update_task_list(task_list.id, title="New", etag=task_list.etag, request_id="etag") == updated
        with pytest.raises(taskgrove.EtagMismatch):
            client.update_task_list(task_list.id, title="New", etag=task_list.etag)


def test_an_enqueue_that_is_repeated_is_answered_while_nothing_can_be_stored(server: RunningServer, api: Api) -> None:
    with server.client() as client:
        task_list = tasks_work.make_list(client, "true")
    first = api.call(request("Enqueue", task_list_id=task_list.id, title="Once", request_id="once"))
    with tasks_verdict.store_locked(server):
        again = api.call(request("Enqueue", task_list_id=task_list.id, title="Once", request_id="once"))
        refusal = api.refusal(request("Enqueue", task_list_id=task_list.id, title="Other", request_id="other"))
    assert again.task.id == first.task.id
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
