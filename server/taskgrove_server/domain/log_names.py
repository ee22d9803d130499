"""What the files in the directory of logs are called."""

from __future__ import annotations

from taskgrove_server.domain.ids import TaskId


def of_run(task_id: TaskId, number: int) -> str:
    """Returns the name of the log of a task's run."""
    return f"{task_id}_run{number}.ndjson"


def of_setup(task_id: TaskId) -> str:
    """Returns the name of what a task's setup command printed."""
    return f"{task_id}_setup.log"
