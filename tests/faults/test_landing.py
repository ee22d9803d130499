"""The server is killed, stopped, or out of disk while it lands work or clears it away."""

from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import taskgrove
from support import disks, repositories, tasks_chance, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Worktree

SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH

ROUNDS = 8


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


@pytest.fixture
def moments() -> random.Random:
    """Chooses when."""
    return tasks_chance.seeded()


class Calling:
    """Makes a call in a thread of its own, whatever becomes of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with suppress(taskgrove.TaskgroveError):
            self._call()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(tasks_gates.PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def gate(project: Project, tmp_path: Path) -> Iterator[Gate]:
    """Holds up git when it brings the files of the user's checkout up to date."""
    with Gate(tmp_path / "gate") as made:
        tasks_work.add_filter(project.path)
        yield made


def hold_up(project: Project, gate: Gate) -> None:
    tasks_work.set_filter(project.path, smudge=f"sh -c '{gate.pass_through}; cat'")


def assert_landed_once(project: Project, task_id: str, name: str) -> None:
    """Fails the test unless the work is on main exactly once, and the checkout has it and nothing else."""
    tasks_work.set_filter(project.path)
    trailers = project.git("log", "--format=%(trailers:key=Taskgrove-Task,valueonly)", "main").split()
    assert trailers.count(task_id) == 1
    assert name in project.files()
    assert project.git("status", "--porcelain") == ""
    landed = project.client.get_task(task_id).worktree
    assert landed.landing.commit == project.git("rev-parse", "main")
    project.git("fsck", "--strict")


def test_killed_while_files_follow_a_landing(project: Project, server: RunningServer, gate: Gate) -> None:
    task = project.run("echo landed > b.filtered")
    hold_up(project, gate)
    with Calling(lambda: project.client.land(task.id, strategy=SQUASH, request_id="land")):
        gate.wait_for_arrivals()
        server.kill()
    # Git goes on by itself, and the next server waits for it.
    threading.Timer(0.5, gate.open).start()
    server.start()
    assert_landed_once(project, task.id, "b.filtered")
    again = project.client.land(task.id, strategy=SQUASH, request_id="land")
    assert again.worktree.landing.commit == project.git("rev-parse", "main")
    assert_landed_once(project, task.id, "b.filtered")


def test_told_to_stop_while_files_follow_a_landing(project: Project, server: RunningServer, gate: Gate) -> None:
    task = project.run("echo landed > b.filtered")
    hold_up(project, gate)
    with Calling(lambda: project.client.land(task.id, strategy=SQUASH)):
        gate.wait_for_arrivals()
        threading.Timer(2, gate.open).start()
        assert server.terminate() == 0
        server.start()
    assert_landed_once(project, task.id, "b.filtered")


@pytest.mark.parametrize("checked_out", [True, False], ids=["checked out", "not checked out"])
def test_killed_at_any_moment_of_a_landing(
    project: Project, server: RunningServer, moments: random.Random, checked_out: bool
) -> None:
    if not checked_out:
        project.git("checkout", "-qb", "elsewhere")
    for number in range(ROUNDS):
        task = project.run(f"echo {number} > file{number}")

        def land(task_id: str = task.id) -> taskgrove.Task:
            return project.client.land(task_id, target_branch="main", strategy=SQUASH, request_id=f"land-{task_id}")

        with Calling(land):
            time.sleep(moments.uniform(0, 0.15))
            server.kill()
        server.start()
        landed = land()
        assert landed.worktree.landing.commit == project.git("rev-parse", "main")
        subjects = project.git("log", "--format=%(trailers:key=Taskgrove-Task,valueonly)", "main").split()
        assert subjects.count(task.id) == 1
        assert project.git("status", "--porcelain") == ""
    assert {f"file{number}" for number in range(ROUNDS)} <= set(project.files("main"))
    project.git("fsck", "--strict")


def test_killed_at_any_moment_of_a_discard(project: Project, server: RunningServer, moments: random.Random) -> None:
    for number in range(ROUNDS):
        task = project.run(f"echo {number} > committed; git add .; git commit -qm C; echo {number} > more; exit 1")
        with Calling(functools.partial(project.client.discard_worktree, task.id)):
            time.sleep(moments.uniform(0, 0.15))
            server.kill()
        server.start()
        discarded = project.client.discard_worktree(task.id).task.worktree
        assert discarded.state == Worktree.STATE_DISCARDED
        assert not Path(task.worktree.path).exists()
        kept = {name for ref in project.refs(task.id) for name in project.files(ref)}
        assert {"committed", "more"} <= kept
        assert task.worktree.branch not in repositories.branches(project.path)


def test_a_full_disk_refuses_a_landing_with_nothing_changed(client: taskgrove.Client, tmp_path: Path) -> None:
    with disks.mounted(tmp_path / "disk", "8m") as disk:
        project = Project(client, disk / "project")
        task = project.run("head -c 2000000 /dev/urandom > big")
        before = tasks_work.snapshot(project.path)
        with disks.full(disk), pytest.raises((taskgrove.RepositoryFailed, taskgrove.CheckoutDirty)):
            client.land(task.id)
        assert tasks_work.snapshot(project.path) == before
        client.land(task.id)
        assert "big" in project.files()
        assert project.git("status", "--porcelain") == ""
