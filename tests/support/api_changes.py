"""For each RPC that changes something besides queueing: a call that has something to do, and what it must leave behind.

Those that queue tasks or make lists are in test_api_request_ids.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.api_calls import request
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task

#: How many tasks the servers of these tests run at once.
SLOTS = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A call to be made, and what else a call with its id must not ask for."""

    message: Any
    other: dict[str, Any]
    repository: Path | None = None


Prepare = Callable[[RunningServer, Path], AbstractContextManager[Change]]


def prepared(method: str, server: RunningServer, root: Path) -> AbstractContextManager[Change]:
    """Makes what a method needs; its request has a request id."""
    return CHANGES[method](server, root)


@contextlib.contextmanager
def _queued(client: taskgrove.Client, root: Path) -> Generator[Task]:
    """Has a task wait in the queue."""
    task_list = client.create_task_list("Busy")
    with tasks_gates.Gate(root / "gate") as gate:
        overrides = tasks_work.shell(gate.pass_through)
        for number in range(SLOTS):
            client.enqueue(task_list.id, f"Busy {number}", overrides=overrides)
        gate.wait_for_arrivals(SLOTS)
        yield client.enqueue(task_list.id, "Waits", subtasks=["one"], overrides=tasks_work.shell("true"))
        gate.open()
        # No later test is to see them change.
        for task in client.list_tasks(task_list_id=task_list.id):
            tasks_work.rest(client, task.id)


@contextlib.contextmanager
def _update_task(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client, _queued(client, root) as task:
        message = request("UpdateTask", task_id=task.id, title="New", etag=task.etag, request_id="once")
        yield Change(message, {"title": "Another"})


@contextlib.contextmanager
def _update_subtask(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client, _queued(client, root) as task:
        fields = {"task_id": task.id, "number": 1, "completed": True, "etag": task.etag}
        yield Change(request("UpdateSubtask", **fields, request_id="once"), {"completed": False})


@contextlib.contextmanager
def _update_task_list(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        made = client.create_task_list("Old", working_dir=repositories.make_repository(root / "repository"))
        fields = {"task_list_id": made.id, "title": "New", "etag": made.etag}
        yield Change(request("UpdateTaskList", **fields, request_id="once"), {"title": "Another"})


@contextlib.contextmanager
def _delete_task_list(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        made, kept = client.create_task_list("Old"), client.create_task_list("Kept")
        yield Change(request("DeleteTaskList", task_list_id=made.id, request_id="once"), {"task_list_id": kept.id})


@contextlib.contextmanager
def _delete_task(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        project = Project(client, root / "repository")
        fields = {"task_id": project.run("echo x > x").id, "discard_worktree": True}
        yield Change(request("DeleteTask", **fields, request_id="once"), {"discard_worktree": False}, project.path)


@contextlib.contextmanager
def _land(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        project = Project(client, root / "repository")
        task = project.run("echo x > x")
        # A merge each time that it is done: one that is done twice shows.
        project.commit("more", "more")
        strategy = taskgrove.LandStrategy.LAND_STRATEGY_MERGE
        fields = {"task_id": task.id, "strategy": strategy, "expected_head": task.worktree.head_commit}
        yield Change(request("Land", **fields, request_id="once"), {"message": "Another"}, project.path)


@contextlib.contextmanager
def _push_branch(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        project = Project(client, root / "repository")
        project.git("remote", "add", "origin", str(repositories.make_bare_repository(root / "remote")))
        task = project.run("echo x > x")
        fields = {"task_id": task.id, "remote_branch": "pushed"}
        yield Change(request("PushBranch", **fields, request_id="once"), {"remote_branch": "other"}, root / "remote")


@contextlib.contextmanager
def _discard_worktree(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        project = Project(client, root / "repository")
        task, kept = project.run("echo x > x"), project.run("echo y > y")
        message = request("DiscardWorktree", task_id=task.id, request_id="once")
        yield Change(message, {"task_id": kept.id}, project.path)


@contextlib.contextmanager
def _prune_worktrees(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client:
        project = Project(client, root / "repository")
        # One has nothing that is not committed, the other is to be saved.
        project.run("echo x > x")
        project.run("echo y > y; exit 1")
        fields = {"task_list_id": project.task_list.id, "rested_for": {"seconds": 0}}
        message = request("PruneWorktrees", **fields, request_id="once")
        yield Change(message, {"rested_for": {"seconds": 1}}, project.path)


@contextlib.contextmanager
def _lift_hold(server: RunningServer, root: Path) -> Generator[Change]:
    with server.client() as client, tasks_gates.Gate(root / "gate") as gate:
        # A task that is tried again is held, for itself alone, until it rests.
        command = f'[ "$TASKGROVE_RESUMES" = 1 ] || exit 75; {gate.pass_through}'
        task = client.enqueue(client.create_task_list("Held").id, "Waits", overrides=tasks_work.shell(command))
        gate.wait_for_arrivals()
        yield Change(request("LiftHold", hold_id=f"task:{task.id}", request_id="once"), {"hold_id": "machine"})
        gate.open()
        tasks_work.rest(client, task.id)


CHANGES: dict[str, Prepare] = {
    "UpdateTask": _update_task,
    "UpdateSubtask": _update_subtask,
    "UpdateTaskList": _update_task_list,
    "DeleteTaskList": _delete_task_list,
    "DeleteTask": _delete_task,
    "Land": _land,
    "PushBranch": _push_branch,
    "DiscardWorktree": _discard_worktree,
    "PruneWorktrees": _prune_worktrees,
    "LiftHold": _lift_hold,
}
