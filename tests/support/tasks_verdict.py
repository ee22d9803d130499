"""What must hold of tasks, however often their server was killed on the way."""

from __future__ import annotations

import collections
import contextlib
import shlex
import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import taskgrove
from support import repositories, tasks_following, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

#: Seconds. Many tasks share the machine, and a watcher comes back only where a server lives long enough to meet it.
PATIENCE = 300.0


class Ledger:
    """A file in which the program of every run notes that it was started."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @property
    def note(self) -> str:
        """The shell command that notes the run."""
        return f'echo "$TASKGROVE_RUN_ID" >> {shlex.quote(str(self._path))}'

    def check(self, runs: Sequence[Run]) -> None:
        """Checks that each run's program was started once; once at most, if the run was cancelled or put off."""
        noted = collections.Counter(self._path.read_text().split())
        assert {run: count for run, count in noted.items() if count > 1} == {}, "executed twice"
        assert set(noted) <= {run.id for run in runs}
        may_lack = {
            run.id
            for run in runs
            if run.state == Run.STATE_CANCELLED or run.failure.kind == FailureKind.FAILURE_KIND_MACHINE
        }
        assert {run.id for run in runs} - may_lack <= set(noted)


@dataclass(slots=True)
class Story:
    """One task and all who watched it, one after the other: a watch ends when the task rests."""

    client: taskgrove.Client
    task_id: str
    #: The states in which the task may end.
    ends: frozenset[Task.State] = frozenset({Task.STATE_SUCCEEDED})
    followers: list[Follower] = field(default_factory=list[Follower])

    def __post_init__(self) -> None:
        self.followers.append(Follower(self.client, self.task_id, patience=PATIENCE))

    @property
    def follower(self) -> Follower:
        """The one who watches now."""
        return self.followers[-1]

    @property
    def events(self) -> list[taskgrove.WatchEvent]:
        """All that was shown so far."""
        return [event for follower in self.followers for event in follower.events]

    def go_on(self, prompt: str) -> None:
        """Continues the task, which rests, and watches on from the line after the last one."""
        self.follower.rested()
        self.client.continue_task(self.task_id, prompt)
        seen = len(tasks_following.lines(self.events))
        self.followers.append(Follower(self.client, self.task_id, after_line=seen, patience=PATIENCE))

    def check(self, repository: Path) -> list[Run]:
        """Checks the task, which has to come to rest, and returns its runs."""
        for follower in self.followers:
            state = follower.rested().state
            assert state in self.ends, follower.events[-1]
            assert tasks_following.terminal_states(follower.events) == {state}
        task = self.client.get_task(self.task_id)
        assert task == self.follower.rested()
        runs = tasks_work.runs(self.client, task)
        assert task.run_count == len(runs)
        assert Run.STATE_RUNNING not in {run.state for run in runs}
        assert tasks_following.numbers_are_dense(self.events)
        assert tasks_following.data(self.events) == tasks_work.logged([run for run in runs if run.line_count])
        if task.HasField("worktree"):
            worktree = task.worktree
            commits = repositories.git(repository, "rev-list", "--count", f"{worktree.base_commit}..{worktree.branch}")
            assert int(commits) == [run.state for run in runs].count(Run.STATE_SUCCEEDED)
            if task.state == Task.STATE_SUCCEEDED:
                assert repositories.head(repository, worktree.branch) == worktree.head_commit
        return runs


def check_all(
    server: RunningServer, client: taskgrove.Client, stories: Sequence[Story], ledger: Ledger, repository: Path
) -> None:
    """Checks each task, and that nothing is left that belongs to none: no process, no worktree, no branch."""
    runs = [run for story in stories for run in story.check(repository)]
    ledger.check(runs)
    assert server.run_processes() == []
    assert tasks_processes.supervisors(server) == []
    check_worktrees(client, stories, repository)


def check_worktrees(client: taskgrove.Client, stories: Sequence[Story], repository: Path) -> None:
    """Checks that the repository has the worktrees and branches of these tasks, and no others."""
    tasks = [client.get_task(story.task_id) for story in stories]
    worktrees = [task.worktree for task in tasks if task.HasField("worktree")]
    assert repositories.worktree_paths(repository) == sorted(worktree.path for worktree in worktrees)
    assert repositories.branches(repository) == sorted(["main", *(worktree.branch for worktree in worktrees)])


@contextlib.contextmanager
def store_locked(server: RunningServer) -> Generator[None]:
    """Keeps the server from writing to its database, as a person with a shell of SQLite may."""
    database = sqlite3.connect(server.data / "taskgrove.db", timeout=tasks_gates.PATIENCE, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
    finally:
        database.close()


def recorded_runs(server: RunningServer, task_id: str) -> list[str]:
    """Returns the states of a task's runs as they are on disk, so fast that the next step is still to come."""
    with contextlib.closing(sqlite3.connect(f"file:{server.data}/taskgrove.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT state FROM run WHERE task_id = ? ORDER BY number", (task_id,))
        return [state for (state,) in rows]
