"""What a repository shares is looked at before a run and put in order after it: cheaply, and once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain import clock, config, ids
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commands, commits, locks, worktrees
from taskgrove_server.worktrees.shared import refs, sentences
from taskgrove_server.worktrees.shared.note import NAME
from taskgrove_server.worktrees.shared.shared_state import SharedState


class CountingGit(commands.Git):
    """Counts the commands."""

    def __init__(self) -> None:
        super().__init__(timeout=30)
        self.count = 0

    def __call__(
        self,
        directory: str,
        *arguments: str,
        discover: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> str:
        self.count += 1
        return super().__call__(directory, *arguments, discover=discover, environment=environment, stdin=stdin)

    def counted(self) -> int:
        """Returns how many there were since this was last asked."""
        count, self.count = self.count, 0
        return count


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return made.make_repository(tmp_path / "project")


@pytest.fixture
def git() -> CountingGit:
    return CountingGit()


@pytest.fixture
def state(git: CountingGit) -> SharedState:
    return SharedState(git, locks.RepositoryLocks(git), "taskgrove/")


@pytest.fixture
def task(tmp_path: Path, repository: Path) -> Task:
    return make_task(tmp_path, repository)


def make_task(tmp_path: Path, repository: Path) -> Task:
    grove = worktrees.Worktrees(tmp_path / "worktrees", commits.Author(), timeout=30)
    task_id = ids.new_task_id()
    worktree: Worktree = grove.create(str(repository), task_id, "Do it")
    return Task(
        id=task_id,
        task_list_id=TaskListId("k3v9m2qxw7ab"),
        title="Do it",
        description="",
        subtasks=(),
        overrides=config.RunConfig(),
        state=TaskState.RUNNING,
        create_time=clock.now(),
        update_time=clock.now(),
        worktree=worktree,
    )


def run_directory(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / ids.new_run_id()
    path.mkdir(parents=True)
    return path


def stash(repository: Path) -> list[str]:
    return made.git(repository, "stash", "list", "--format=%H %gs").splitlines()


def make_stash(repository: Path) -> None:
    (repository / "README.md").write_text("mine\n")
    made.git(repository, "stash", "push", "--message", "mine")


def test_an_ordinary_run_costs_no_command_before_and_one_after(
    state: SharedState, git: CountingGit, task: Task, tmp_path: Path
) -> None:
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    assert git.counted() == 0
    assert (directory / NAME).stat().st_mode & 0o777 == 0o600
    assert state.compare(directory) == ()
    assert git.counted() == 1


def test_a_detached_head_and_a_stash_cost_a_little_more(
    state: SharedState, git: CountingGit, task: Task, repository: Path, tmp_path: Path
) -> None:
    directory = run_directory(tmp_path)
    make_stash(repository)
    made.git(repository, "checkout", "-q", "--detach")
    state.remember(task, directory)
    assert git.counted() <= 5
    assert state.compare(directory) == ()
    assert made.git(repository, "for-each-ref", "refs/taskgrove/") == ""


def test_compared_again_it_tells_the_same(
    state: SharedState, task: Task, repository: Path, tmp_path: Path, git: CountingGit
) -> None:
    make_stash(repository)
    made.git(repository, "branch", "mine", made.head(repository))
    made.commit(repository, {"x": "x"}, "x")
    made.git(repository, "branch", "other")
    made.git(repository, "reset", "-q", "--hard", "HEAD^")
    before = stash(repository)
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    made.git(repository, "stash", "clear")
    made.git(repository, "branch", "-D", "other", "mine")
    made.git(repository, "config", "core.bare", "true")
    first = state.compare(directory)
    assert first is not None
    assert len(first) == 4
    # As after a kill of the server, before the end of the run was stored.
    other = SharedState(git, locks.RepositoryLocks(git), "taskgrove/")
    assert sorted(other.compare(directory) or ()) == sorted(first)
    assert stash(repository) == before
    assert len(made.git(repository, "for-each-ref", refs.KEPT).splitlines()) == 1


def test_a_person_who_stashes_meanwhile_loses_nothing(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    make_stash(repository)
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    made.git(repository, "stash", "drop")
    (repository / "README.md").write_text("mine again\n")
    made.git(repository, "stash", "push", "--message", "again")
    told = state.compare(directory)
    assert [entry.partition(" ")[2] for entry in stash(repository)] == ["On main: again", "On main: mine"]
    assert told is not None
    assert told[1] == "The stash entry 'On main: again' is new in the repository."


def test_a_lock_that_a_killed_git_has_left_is_in_nobodys_way(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    make_stash(repository)
    before = stash(repository)
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    made.git(repository, "stash", "clear")
    lock = repository / ".git/refs/stash.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    assert state.compare(directory) is not None
    assert stash(repository) == before


def test_a_stash_that_cannot_be_put_back_is_kept(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    make_stash(repository)
    commit = made.head(repository, "refs/stash")
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    made.git(repository, "stash", "clear")
    made.git(repository, "update-ref", "refs/stash/in/the/way", "HEAD")
    told = state.compare(directory)
    assert told is not None
    assert told[0] == "The stash of the repository was changed, and could not be put back."
    assert f"is kept as {refs.KEPT}{task.id}/1" in told[1]
    assert made.head(repository, f"{refs.KEPT}{task.id}/1") == commit


def test_a_stash_without_a_reflog_comes_back_too(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    make_stash(repository)
    commit = made.head(repository, "refs/stash")
    (repository / ".git/logs/refs/stash").unlink()
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    made.git(repository, "update-ref", "-d", "refs/stash")
    told = state.compare(directory)
    assert told is not None
    assert "was put back" in told[0]
    assert made.head(repository, "refs/stash") == commit


def test_without_a_note_there_is_nothing_to_tell(state: SharedState, tmp_path: Path) -> None:
    assert state.compare(run_directory(tmp_path)) == ()


def test_a_repository_that_cannot_be_looked_at_is_told(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    directory = run_directory(tmp_path)
    (repository / ".git/packed-refs").write_text("nonsense\n")
    state.remember(task, directory)
    (repository / ".git/packed-refs").unlink()
    assert state.compare(directory) is None


def test_extensions_that_git_begins_to_use_by_itself_stay(
    state: SharedState, task: Task, repository: Path, tmp_path: Path
) -> None:
    directory = run_directory(tmp_path)
    state.remember(task, directory)
    assert task.worktree is not None
    made.git(task.worktree.path, "sparse-checkout", "set", "src")
    assert made.git(repository, "config", "extensions.worktreeConfig") == "true"
    assert state.compare(directory) == ("The repository's setting extensions.worktreeconfig is new.",)
    assert made.git(repository, "config", "extensions.worktreeConfig") == "true"
    # What then belongs to the main checkout alone is looked after too.
    again = run_directory(tmp_path)
    state.remember(task, again)
    made.git(repository, "config", "--worktree", "core.bare", "true")
    told = state.compare(again)
    assert told is not None
    assert "core.bare" in told[0]
    made.git(repository, "status")


def test_tasks_branches_are_told_from_a_persons() -> None:
    task_id = TaskId("k3v5m2qxw7ab")
    tasks = refs.TaskBranches(("taskgrove/", "a.b-"))
    assert tasks.has(f"taskgrove/{task_id}")
    assert tasks.has(f"taskgrove/{task_id}-fix-the-login-2")
    assert tasks.has(f"a.b-{task_id}-x")
    for name in ("main", "taskgrove/notes", f"feature/{task_id}", f"axb-{task_id}", f"taskgrove/{task_id}/x", ""):
        assert not tasks.has(name)


def test_sentences_are_short_clean_and_not_too_many() -> None:
    told = sentences.told(
        ["https://me:secret@example.org", "x\n\x1b[31m\udcff", "long" * 500, *map(str, range(60)), "1"]
    )
    assert told[0] == "https://***@example.org"
    assert told[1] == "x  [31m�"
    assert len(told[2]) == sentences.LONGEST
    assert len(told) == sentences.MOST
    assert told[-1] == "The repository has 14 more changes."
