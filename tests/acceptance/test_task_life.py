"""A task's way from the queue to its rest."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_following, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Subtask, Task


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists and repositories of its own."""
    with RunningServer("--slots", "4", "--retry-pause", "0.1") as running:
        yield running


def test_a_success_is_committed_on_the_tasks_own_branch(client: taskgrove.Client, repository: Path) -> None:
    change = "echo changed > README.md; mkdir -p 'a dir'; echo new > 'a dir/näw.txt'"
    task = tasks_work.run(client, change, repository)
    assert task.state == Task.STATE_SUCCEEDED
    worktree = task.worktree
    assert worktree.base_commit == repositories.head(repository)
    assert worktree.branch == f"taskgrove/{task.id}-do-it"
    assert worktree.head_commit == repositories.head(repository, worktree.branch)
    assert repositories.head(repository, f"{worktree.branch}^") == worktree.base_commit
    changed = repositories.git(repository, "diff", "--name-status", "-z", worktree.base_commit, worktree.branch)
    assert changed.strip("\0").split("\0") == ["M", "README.md", "A", "a dir/näw.txt"]
    assert repositories.git(repository, "show", f"{worktree.branch}:README.md") == "changed"
    assert repositories.git(worktree.path, "status", "--porcelain") == ""


def test_a_commit_says_who_made_it_and_for_which_task(client: taskgrove.Client, repository: Path) -> None:
    task = tasks_work.run(client, "echo new > new.txt", repository)

    def show(what: str) -> str:
        return repositories.git(repository, "show", "--no-patch", f"--format={what}", task.worktree.head_commit)

    assert show("%an <%ae>") == "Taskgrove <taskgrove@localhost>"
    assert show("%cn <%ce>") == "Taskgrove <taskgrove@localhost>"
    assert show("%s") == "Do it"
    assert show("%(trailers)").splitlines() == [f"Taskgrove-Task: {task.id}", "Taskgrove-Run: 1"]
    assert '"A list"' in show("%b")


def test_the_users_checkout_stays_as_it_is(client: taskgrove.Client, repository: Path) -> None:
    (repository / "README.md").write_text("half done\n")
    (repository / "staged.txt").write_text("staged\n")
    repositories.git(repository, "add", "staged.txt")
    (repository / "untracked.txt").write_text("mine\n")
    before = tasks_work.snapshot(repository)
    task = tasks_work.run(client, "cat README.md; rm README.md; echo theirs > untracked.txt", repository)
    assert task.state == Task.STATE_SUCCEEDED
    assert task.result == "hello"
    assert tasks_work.snapshot(repository) == before
    assert repositories.branches(repository) == ["main", task.worktree.branch]


def test_a_success_without_a_change_makes_no_commit(client: taskgrove.Client, repository: Path) -> None:
    task = tasks_work.run(client, "echo nothing to do", repository)
    assert task.state == Task.STATE_SUCCEEDED
    assert task.worktree.head_commit == task.worktree.base_commit == repositories.head(repository)
    assert repositories.head(repository, task.worktree.branch) == task.worktree.base_commit


def test_the_result_is_what_the_command_printed_last(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, ["printf", "%s\n", "# Done", "", "Größe: 1 µm"])
    assert task.result == "# Done\n\nGröße: 1 µm"
    (run,) = tasks_work.runs(client, task)
    assert run.result == task.result


def test_a_task_of_a_list_without_a_repository_works_in_a_directory_of_its_own(client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "ls -A; pwd; touch left-here")
    tasks = [tasks_work.rest(client, client.enqueue(task_list.id, title).id) for title in ("One", "Two")]
    for task in tasks:
        assert task.state == Task.STATE_SUCCEEDED
        assert task.result == task.directory
        assert not task.HasField("worktree")
        assert [path.name for path in Path(task.directory).iterdir()] == ["left-here"]
    assert tasks[0].directory != tasks[1].directory


def test_the_row_of_a_run_is_complete(client: taskgrove.Client, repository: Path) -> None:
    task_list = tasks_work.make_list(client, "cat; echo problem >&2; sleep 0.05", repository)
    before = datetime.now(UTC)
    queued = client.enqueue(
        task_list.id,
        "Mend it",
        description="\n  Please.\n\n",
        subtasks=["Look", Subtask(title="Think", completed=True)],
    )
    assert (queued.state, queued.run_count, queued.slot) == (Task.STATE_QUEUED, 0, 0)
    with Follower(client, queued.id) as follower:
        task = follower.rested()
    after = datetime.now(UTC)
    (run,) = tasks_work.runs(client, task)
    assert run.prompt == "Mend it\n\nPlease.\n\n## Sub-Tasks\n- [ ] Look\n- [x] Think\n"
    assert "\n".join(tasks_following.texts(follower.events)) == run.prompt.removesuffix("\n")
    assert (run.task_id, run.number, run.agent) == (task.id, 1, "command")
    assert (run.state, run.exit_code, run.is_retry) == (Run.STATE_SUCCEEDED, 0, False)
    assert not run.HasField("failure")
    assert str(uuid.UUID(run.id)) == run.id
    assert str(uuid.UUID(run.session_id)) == run.session_id
    assert tasks_work.logged([run]) == tasks_following.data(follower.events)
    assert (run.first_line, run.line_count) == (1, len(tasks_following.lines(follower.events)))
    assert (task.run_count, task.last_line, task.slot) == (1, run.line_count, 0)
    moments = [
        before,
        *(moment.ToDatetime(UTC) for moment in (task.create_time, task.start_time, run.start_time)),
        *(moment.ToDatetime(UTC) for moment in (run.finish_time, task.finish_time)),
        after,
    ]
    assert moments == sorted(moments)
    assert run.finish_time.ToDatetime() - run.start_time.ToDatetime() >= timedelta(seconds=0.05)
    assert task.update_time == task.finish_time or task.update_time.ToDatetime(UTC) <= after


def test_each_setting_is_the_tasks_else_the_lists(client: taskgrove.Client) -> None:
    task_list = client.create_task_list("A list", defaults=tasks_work.shell("echo of the list"))
    asked = [
        client.enqueue(task_list.id, "No overrides"),
        client.enqueue(
            task_list.id, "Another program", overrides=taskgrove.run_config(command=["echo", "of the task"])
        ),
        client.enqueue(task_list.id, "Something else", overrides=taskgrove.run_config(run_timeout=timedelta(hours=1))),
    ]
    assert [tasks_work.rest(client, task.id).result for task in asked] == ["of the list", "of the task", "of the list"]


def test_new_defaults_of_the_list_reach_a_task_that_waits(tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "1") as server,
        server.client() as client,
        Gate(tmp_path / "gate") as gate,
    ):
        task_list = tasks_work.make_list(client, gate.pass_through + "; echo old")
        running, waiting = [client.enqueue(task_list.id, title).id for title in ("First", "Second")]
        gate.wait_for_arrivals()
        client.update_task_list(task_list.id, defaults=tasks_work.shell("echo new"))
        gate.open()
        assert tasks_work.rest(client, running).result == "old"
        assert tasks_work.rest(client, waiting).result == "new"
