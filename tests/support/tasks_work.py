"""Lists and tasks of the command agent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from datetime import timedelta
from pathlib import Path

import taskgrove
from support import repositories, tasks_gates
from support.server import RunningServer
from support.tasks_gates import PATIENCE
from taskgrove.v1.task_pb2 import Task


def shell(
    command: str | Sequence[str],
    *,
    run_timeout: timedelta | None = None,
    stall_timeout: timedelta | None = None,
    linger: timedelta | None = None,
    log_limit: int | None = None,
) -> taskgrove.RunConfig:
    """Returns settings that run a line of shell, or a program with its arguments."""
    return taskgrove.run_config(
        agent="command",
        command=command,
        run_timeout=run_timeout,
        stall_timeout=stall_timeout,
        linger=linger,
        log_limit=log_limit,
    )


def make_list(
    client: taskgrove.Client, command: str | Sequence[str], working_dir: Path | None = None
) -> taskgrove.TaskList:
    """Makes a list whose tasks run a command; in sandboxes when there is no repository."""
    return client.create_task_list("A list", working_dir=working_dir, defaults=shell(command))


def run(client: taskgrove.Client, command: str | Sequence[str], working_dir: Path | None = None) -> Task:
    """Runs a command as a task of a new list, and returns the task at rest."""
    task_list = make_list(client, command, working_dir)
    return rest(client, client.enqueue(task_list.id, "Do it").id)


def rest(client: taskgrove.Client, task_id: str) -> Task:
    """Waits until a task rests."""
    return client.wait(task_id, reconnect_timeout=PATIENCE)


def rest_unwatched(client: taskgrove.Client, task_id: str) -> Task:
    """Waits until a task rests, without its lines, which may be lost."""
    return tasks_gates.until(lambda: _resting(client.get_task(task_id)), f"the rest of task {task_id}")


def _resting(task: Task) -> Task | None:
    return task if task.state in (Task.STATE_SUCCEEDED, Task.STATE_FAILED, Task.STATE_CANCELLED) else None


def runs(client: taskgrove.Client, task: Task) -> list[taskgrove.Run]:
    """Returns the task's runs, of which each must be closed if the task rests."""
    return list(client.list_runs(task.id))


def logged(run_rows: Sequence[taskgrove.Run]) -> bytes:
    """Returns what the log files of some runs hold."""
    return b"".join(Path(row.log_path).read_bytes() for row in run_rows)


def execute(server: RunningServer, statement: str, *values: object) -> None:
    """Changes the server's database behind its back; exactly one row."""
    database = sqlite3.connect(server.data / "taskgrove.db", timeout=PATIENCE, isolation_level=None)
    try:
        assert database.execute(statement, values).rowcount == 1
    finally:
        database.close()


@contextlib.contextmanager
def connected(server: RunningServer) -> Generator[sqlite3.Connection]:
    """Opens the server's database behind its back; what is done inside is committed."""
    with contextlib.closing(sqlite3.connect(server.data / "taskgrove.db", timeout=PATIENCE)) as database, database:
        yield database


def add_filter(repository: Path, *, smudge: str = "cat", clean: str = "cat", pattern: str = "*.filtered") -> None:
    """Commits a file that git passes through two programs: `smudge` at checkout, `clean` when it is staged."""
    repositories.commit(repository, {".gitattributes": f"{pattern} filter=test\n", "a.filtered": "content\n"}, "Filter")
    # Set after the commit: the user's own checkout never meets the filter.
    repositories.git(repository, "config", "filter.test.required", "true")
    set_filter(repository, smudge=smudge, clean=clean)


def set_filter(repository: Path, *, smudge: str = "cat", clean: str = "cat") -> None:
    """Changes the two programs."""
    repositories.git(repository, "config", "filter.test.smudge", smudge)
    repositories.git(repository, "config", "filter.test.clean", clean)


def snapshot(repository: Path) -> tuple[str, ...]:
    """Returns all of a checkout that must not change: where it is, what is staged, and what is in its files."""
    look = (
        ("symbolic-ref", "HEAD"),
        ("rev-parse", "HEAD"),
        ("ls-files", "--stage"),
        ("status", "--porcelain", "--untracked-files=all"),
        ("stash", "list"),
    )
    files = sorted(path for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts)
    return (
        *(repositories.git(repository, *arguments) for arguments in look),
        *(f"{f}:{f.read_bytes()!r}" for f in files),
    )
