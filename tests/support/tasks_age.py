"""Tasks that have rested for long, and what a server has of a task on its disk."""

from __future__ import annotations

from pathlib import Path

import taskgrove
from support import tasks_gates, tasks_work
from support.server import RunningServer
from taskgrove.v1.task_pb2 import Task

#: A retention, and an age beyond it, in seconds.
RETENTION = 86400
OLD = 2 * RETENTION


def age(server: RunningServer, *tasks: Task, by: int = OLD) -> None:
    """Has tasks have come to rest earlier."""
    for task in tasks:
        statement = "UPDATE task SET finish_time = finish_time - ? WHERE id = ?"
        tasks_work.execute(server, statement, by * 10**6, task.id)


def begin_anew(server: RunningServer, *flags: str) -> None:
    """Stops a server and starts it with more flags: each begins with what is to be done from time to time."""
    assert server.terminate() == 0
    server.start(*flags)


def wait_for_the_end(client: taskgrove.Client, *tasks: Task) -> None:
    """Waits until there is none of the tasks any more."""

    def are_gone() -> bool:
        left = {task.id for task in client.list_tasks()}
        return not left & {task.id for task in tasks}

    tasks_gates.until(are_gone, "the end of the old tasks")


def files(server: RunningServer, task: Task) -> list[Path]:
    """Returns all that a server has of a task: its logs, its worktree or sandbox, and what is left of them."""
    names = ("logs", "worktrees", "worktrees/.removed", "sandboxes", "sandboxes/.removed")
    return sorted(path for name in names for path in (server.data / name).glob(f"{task.id}*"))


def obsolete(server: RunningServer) -> list[str]:
    """Returns the names of the files that are still to be removed."""
    with tasks_work.connected(server) as database:
        return [name for (name,) in database.execute("SELECT name FROM obsolete_file")]
