"""A program that takes its time, and what must have come of it however often the server died."""

from __future__ import annotations

from pathlib import Path

import taskgrove
from support import repositories, tasks_work
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task


def command(lines: int, ran: Path) -> str:
    """Returns a program that prints numbers, for a hundredth of a second each, and notes in a file that it ran."""
    return (
        f'echo "$TASKGROVE_SESSION_ID" >> {ran}; i=1; '
        f"while [ $i -le {lines} ]; do echo $i; sleep 0.01; i=$((i+1)); done; "
        'echo "$TASKGROVE_SESSION_ID" > work.txt'
    )


def check_one_run_and_one_commit(client: taskgrove.Client, repository: Path, task: Task, ran: Path) -> None:
    """Checks that the program ran once, to its end, and that its work was committed once."""
    assert (task.state, task.failure.message) == (Task.STATE_SUCCEEDED, "")
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.exit_code) == (Run.STATE_SUCCEEDED, 0)
    assert ran.read_text().splitlines().count(run.session_id) == 1
    assert repositories.head(repository, task.worktree.branch) == task.worktree.head_commit
    assert repositories.head(repository, f"{task.worktree.branch}^") == task.worktree.base_commit
    assert repositories.git(repository, "show", f"{task.worktree.branch}:work.txt") == run.session_id
