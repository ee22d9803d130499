"""Many tasks at once in one repository, whose server is killed in the middle."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_chance, tasks_following, tasks_gates, tasks_verdict, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_verdict import Ledger, Story
from taskgrove.v1.task_pb2 import Task

pytestmark = pytest.mark.timeout(600)

TASKS = 30
LINES = 50


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with a slot for each task."""
    with RunningServer("--slots", str(TASKS)) as running:
        yield running


@pytest.mark.parametrize("middle", ["all run", "some have not begun and some are through"])
def test_thirty_tasks_at_once_make_thirty_commits(
    server: RunningServer, client: taskgrove.Client, repository: Path, tmp_path: Path, middle: str
) -> None:
    moments = tasks_chance.seeded()
    ledger = Ledger(tmp_path / "ledger")
    with Gate(tmp_path / "gate") as gate:
        pause = gate.pass_through if middle == "all run" else "true"
        command = (
            f"{ledger.note}; seq {LINES}; {pause}; seq {LINES}; "
            'mkdir -p all; echo "$TASKGROVE_RUN_ID" > all/$TASKGROVE_RUN_ID; cp all/$TASKGROVE_RUN_ID same.txt'
        )
        task_list = tasks_work.make_list(client, command, repository)
        stories = [Story(client, client.enqueue(task_list.id, f"Task {number}").id) for number in range(TASKS)]
        if middle == "all run":
            tasks_gates.until(gate.arrived(TASKS), f"{TASKS} runs", patience=tasks_verdict.PATIENCE)
        else:
            wait_until_some_are_through(client, task_list.id, moments)
        server.kill()
        server.start()
        gate.open()
    tasks_verdict.check_all(server, client, stories, ledger, repository)
    heads: set[str] = set()
    for story in stories:
        (run,) = client.list_runs(story.task_id)
        worktree = client.get_task(story.task_id).worktree
        shown = repositories.git(repository, "ls-tree", "-r", "--name-only", worktree.head_commit).splitlines()
        assert shown == ["README.md", f"all/{run.id}", "same.txt"]
        assert repositories.git(repository, "show", f"{worktree.branch}:same.txt") == run.id
        heads.add(worktree.head_commit)
        assert tasks_following.texts(story.events) == [str(number) for number in range(1, LINES + 1)] * 2
    assert len(heads) == TASKS
    assert repositories.git(repository, "status", "--porcelain") == ""
    assert "Traceback" not in server.log.read_text()


def wait_until_some_are_through(client: taskgrove.Client, task_list_id: str, moments: random.Random) -> None:
    enough = moments.randrange(1, TASKS // 2)

    def through() -> bool:
        states = [task.state for task in client.list_tasks(task_list_id=task_list_id)]
        return states.count(Task.STATE_SUCCEEDED) >= enough

    tasks_gates.until(through, f"{enough} tasks at rest", patience=tasks_verdict.PATIENCE)
    time.sleep(moments.uniform(0, 0.05))
