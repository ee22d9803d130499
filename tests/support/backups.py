"""The commands `taskgroved backup` and `taskgroved restore`, and servers on what they restore."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import taskgrove
from support.server import RunningServer
from taskgrove_server.backups.backing_up import Saved
from taskgrove_server.backups.backing_up import back_up as back_up_directory
from taskgrove_server.backups.interruption import Interruption
from taskgrove_server.backups.progress import Progress
from taskgrove_server.backups.restoring import Restored
from taskgrove_server.backups.restoring import restore as restore_directory
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.ownership import DataDirectory
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store

#: Seconds that a command may take on a machine that does other things as well.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def begin(*arguments: str | Path, behind: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts `taskgroved` with arguments, by the program `behind` which it stands."""
    return subprocess.Popen(
        [*behind, sys.executable, "-m", "taskgrove_server", *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path, behind: Sequence[str] = ()) -> Ended:
    """Runs `taskgroved` with arguments to its end."""
    process = begin(*arguments, behind=behind)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, stdout, stderr)


def back_up(data: Path, place: Path, *flags: str) -> str:
    """Backs a data directory up, and returns what is said of it."""
    ended = run("backup", place, "--data-dir", data, *flags)
    assert (ended.status, ended.stderr) == (0, ""), ended
    return ended.stdout


def restore(backup: Path, place: Path) -> str:
    """Restores a backup, and returns what is said of it."""
    ended = run("restore", backup, "--data-dir", place)
    assert (ended.status, ended.stderr) == (0, ""), ended
    return ended.stdout


def refusal(*arguments: str | Path) -> str:
    """Returns the sentence with which a command refuses."""
    ended = run(*arguments)
    assert (ended.status, ended.stdout) == (1, ""), ended
    assert ended.stderr.startswith("taskgroved: ")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.removeprefix("taskgroved: ").strip()


@contextlib.contextmanager
def served(data: Path, *flags: str) -> Generator[taskgrove.Client]:
    """Runs a server on a data directory; yields a client of it."""
    running = RunningServer(*flags)
    running.data = data
    with running as server, server.client() as client:
        yield client


def names(directory: Path) -> list[str]:
    """Returns the names in a directory."""
    return sorted(path.name for path in directory.iterdir())


def lines(client: taskgrove.Client, task_id: str) -> list[bytes]:
    """Returns all lines of a task that there are now."""
    return [line.data for line in client.read_lines(task_id)]


def make_data_directory(root: Path, tasks: int = 2, lines: int = 3) -> list[str]:
    """Makes a data directory as a server leaves it whose tasks have run in sandboxes; returns their ids."""
    data = DataDirectory(root)
    for directory in (root, data.logs, data.runs, data.worktrees, data.sandboxes):
        directory.mkdir(mode=0o700, parents=True)
    data.token.write_text("t" * 40)
    store = Store(data.database, lambda _: None)
    try:
        now = clock.now()
        task_list = TaskList(ids.new_task_list_id(), "A list", None, RunConfig(agent="command"), now, now)
        store.task_lists.create(task_list).result()
        return [_add_task(store, data, task_list, lines) for _ in range(tasks)]
    finally:
        store.close()


def _add_task(store: Store, data: DataDirectory, task_list: TaskList, lines: int) -> str:
    now = clock.now()
    task = Task(ids.new_task_id(), task_list.id, "Do it", "", (), RunConfig(), TaskState.QUEUED, now, now)
    store.tasks.enqueue(task).result()
    store.slots.claim(task.id, 1).result()
    sandbox = data.sandboxes / task.id
    new = NewRun(
        id=ids.new_run_id(),
        task_id=task.id,
        is_retry=False,
        prompt="Do it",
        agent="command",
        model=None,
        session_id=ids.new_session_id(),
        resumes=False,
        config=RunConfig(agent="command"),
        directory=str(sandbox),
        worktree=None,
    )
    run = store.runs.begin(new, str(data.logs)).result()
    assert run is not None
    log = b"".join(b'{"line":%d}\n' % number for number in range(1, lines + 1))
    Path(run.log_path).write_bytes(log)
    sandbox.mkdir()
    (sandbox / "file").write_text(f"{task.id}\n")
    store.runs.finish(run, Outcome(), lines, len(log)).result()
    store.slots.rest(task.id, TaskState.SUCCEEDED).result()
    return task.id


def save(data: Path, place: Path, progress: Progress | None = None) -> Saved:
    """Backs a data directory up in this process."""
    with Interruption() as interruption:
        return back_up_directory(
            DataDirectory(data),
            place,
            with_token=False,
            progress=progress or Progress(),
            interruption=interruption,
        )


def log_of(directory: Path) -> Path:
    """Returns a log of a data directory or of a backup."""
    return next((directory / "logs").glob("*.ndjson"))


def contents(directory: Path) -> dict[str, bytes]:
    """Returns what all files below a directory hold, by their paths."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def put_back(backup: Path, place: Path) -> Restored:
    """Restores a backup in this process."""
    with Interruption() as interruption:
        return restore_directory(backup, place, progress=Progress(), interruption=interruption)
