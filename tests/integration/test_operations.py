"""Calls that meet at the worktree of one task, over a real store and a real repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support import claims, repositories
from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.run import Outcome
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.domain.worktree import CleanUp, LandStrategy, WorktreeSettings, WorktreeState
from taskgrove_server.runner.clearing import Clearing
from taskgrove_server.runner.landings import Landings
from taskgrove_server.runner.leftovers import Leftovers
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.runner.operations import Operations
from taskgrove_server.runner.task_work import TaskWork
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.runs import NewRun
from taskgrove_server.store.store import Store
from taskgrove_server.store.worktrees import Operation, OperationKind
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

#: Seconds within which a change is on disk.
PATIENCE = 10.0

PUSHING = Operation(OperationKind.PUSHING)


class Room:
    """A store with one list, and what works on its tasks' worktrees."""

    def __init__(self, directory: Path) -> None:
        self.repository = repositories.make_repository(directory / "project")
        self.store = Store(directory / "taskgrove.db", lambda _: None)
        self.worktrees = Worktrees(directory / "worktrees", Author())
        works = TaskWork(self.store, self.worktrees)
        self.operations = Operations(self.store, works, self.worktrees.git, self.worktrees.locks)
        self.landings = Landings(self.store, works, self.operations, self.worktrees)
        leftovers = Leftovers((directory / "worktrees",))
        self.clearing = Clearing(
            self.store, works, self.operations, self.worktrees, leftovers, LogFiles(self.store, directory)
        )
        now = clock.now()
        settings = WorktreeSettings(clean_up=CleanUp(rested_after=now - now))
        task_list = TaskList(
            ids.new_task_list_id(), "A list", str(self.repository), RunConfig(), now, now, worktree_settings=settings
        )
        self._list = self.store.task_lists.create(task_list).result(PATIENCE)

    def task(self) -> Task:
        """Returns a task at rest that has committed a file."""
        now = clock.now()
        task = Task(ids.new_task_id(), self._list.id, "Do it", "", (), RunConfig(), TaskState.QUEUED, now, now)
        self.store.tasks.enqueue(task).result(PATIENCE)
        claims.claim(self.store, 1)
        worktree = self.worktrees.create(str(self.repository), task.id, task.title)
        Path(worktree.path, "file").write_text("text")
        new = NewRun(
            ids.new_run_id(),
            task.id,
            False,
            "",
            "command",
            None,
            ids.new_session_id(),
            False,
            RunConfig(),
            worktree.path,
            worktree,
        )
        run = self.store.runs.begin(new, "/logs").result(PATIENCE)
        assert run is not None
        self.store.runs.finish(run, Outcome(), 0, 0).result(PATIENCE)
        head = self.worktrees.commit(worktree, title="T", task_id=task.id, task_list_title="L", run_number=1)
        return self.store.slots.rest(task.id, TaskState.SUCCEEDED, head_commit=head).result(PATIENCE)

    def land(self, task_id: TaskId, request: RequestKey | None = None) -> Task:
        return self.landings.land(
            task_id,
            target_branch="main",
            strategy=LandStrategy.MERGE,
            message="",
            expected_head="",
            commit_uncommitted=False,
            include_other_commits=False,
            include_unpublished_submodules=False,
            request=request,
        )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.store.close()


def test_a_call_that_is_refused_does_not_end_the_note_of_the_one_that_works(room: Room) -> None:
    task = room.task()
    with room.operations.on(task.id, PUSHING):
        with pytest.raises(errors.WorktreeBusy), room.operations.on(task.id, PUSHING):
            pass
        room.operations.settle()
        assert room.store.worktrees.in_operation() == [task.id]
    assert room.store.worktrees.in_operation() == []


def test_what_a_killed_server_has_noted_is_ended(room: Room) -> None:
    task = room.task()
    room.store.worktrees.begin(task.id, PUSHING).result(PATIENCE)
    room.operations.settle()
    assert room.store.worktrees.in_operation() == []


def test_a_landing_that_is_repeated_while_the_first_one_ends_is_told_to_ask_again(room: Room) -> None:
    task = room.task()
    request = RequestKey("land-1", "Land", "digest")
    landed = room.land(task.id, request)
    # As of a repeat that looked for the first call's answer just before it was there.
    with pytest.raises(errors.WorktreeBusy):
        room.land(task.id, request)
    assert room.store.tasks.get(task.id) == landed


def test_what_is_committed_while_a_landing_waits_for_its_turn_does_not_land_unseen(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = room.task()
    assert task.worktree is not None
    path, before = task.worktree.path, repositories.head(room.repository)
    turn = room.worktrees.locks.exclusively

    def wait_for_turn(repository: str) -> AbstractContextManager[str]:
        repositories.commit(Path(path), {"late": "late"}, "Late")
        return turn(repository)

    monkeypatch.setattr(room.worktrees.locks, "exclusively", wait_for_turn)
    with pytest.raises(errors.BranchMoved):
        room.land(task.id)
    assert repositories.head(room.repository) == before


def test_what_was_removed_by_hand_is_pruned_as_well(room: Room) -> None:
    task = room.task()
    assert task.worktree is not None
    repositories.git(room.repository, "worktree", "remove", "--force", "--force", task.worktree.path)
    repositories.git(room.repository, "branch", "-D", task.worktree.branch)
    repositories.git(room.repository, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
    pruned = room.clearing.prune(None, None, dry_run=False)
    assert [task_id for task_id, _ in pruned.removals] == [task.id]
    worktree = room.store.tasks.get(task.id).worktree
    assert worktree is not None
    assert worktree.state is WorktreeState.PRUNED


def test_why_a_worktree_cannot_be_pruned_is_said_once(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    task = room.task()
    room.repository.rename(room.repository.with_name("moved"))
    for _ in range(3):
        assert room.clearing.prune(None, None, dry_run=False).failures == 1
    assert [record.levelname for record in caplog.records if task.id in record.getMessage()] == ["WARNING"]
