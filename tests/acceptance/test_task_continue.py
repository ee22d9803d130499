"""Continue: a further run of a task that rests, in its session and its worktree."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_following, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

#: Adds a line to a file, and tells what it was given.
NOTES = 'cat > prompt; echo "$TASKGROVE_RESUMES $TASKGROVE_SESSION_ID" >> sessions; wc -l < sessions'


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists and repositories of its own."""
    with RunningServer("--slots", "4", "--retry-pause", "0.1") as running:
        yield running


def continued(client: taskgrove.Client, task: Task, prompt: str = "Go on.") -> Task:
    client.continue_task(task.id, prompt)
    return tasks_work.rest(client, task.id)


def test_a_continued_task_resumes_its_session_in_its_worktree(client: taskgrove.Client, repository: Path) -> None:
    first = tasks_work.run(client, NOTES, repository)
    queued = client.continue_task(first.id, "Now the rest, please.")
    assert queued.state == Task.STATE_QUEUED
    second = tasks_work.rest(client, first.id)
    assert (second.state, second.run_count, second.result) == (Task.STATE_SUCCEEDED, 2, "2")
    assert (second.worktree.path, second.worktree.branch) == (first.worktree.path, first.worktree.branch)
    directory = Path(second.worktree.path)
    assert (directory / "prompt").read_text() == "Now the rest, please."
    one, two = tasks_work.runs(client, second)
    assert (directory / "sessions").read_text() == f"0 {one.session_id}\n1 {one.session_id}\n"
    assert (two.number, two.session_id, two.is_retry) == (2, one.session_id, False)
    assert two.prompt == "Now the rest, please."
    assert second.start_time.ToDatetime() > first.finish_time.ToDatetime()


def test_each_successful_run_makes_a_commit_on_the_tasks_branch(client: taskgrove.Client, repository: Path) -> None:
    task = continued(client, first := tasks_work.run(client, NOTES, repository))
    branch = task.worktree.branch
    log = repositories.git(repository, "log", "--reverse", "--format=%H", f"main..{branch}").splitlines()
    assert log == [first.worktree.head_commit, task.worktree.head_commit]
    trailers = [repositories.git(repository, "show", "-s", "--format=%(trailers:key=Taskgrove-Run)", c) for c in log]
    assert trailers == ["Taskgrove-Run: 1", "Taskgrove-Run: 2"]
    assert task.worktree.base_commit == first.worktree.base_commit == repositories.head(repository)


def test_the_lines_of_a_continued_run_go_on_in_the_tasks_numbering(client: taskgrove.Client) -> None:
    first = tasks_work.run(client, NOTES)
    client.continue_task(first.id, "Go on.")
    with Follower(client, first.id, after_line=first.last_line) as new, Follower(client, first.id) as whole:
        task = new.rested()
        whole.rested()
    one, two = tasks_work.runs(client, task)
    assert two.first_line == one.line_count + 1 == first.last_line + 1
    assert tasks_following.numbers_are_dense(new.events, first=two.first_line)
    assert tasks_following.numbers_are_dense(whole.events)
    assert tasks_following.data(new.events) == tasks_work.logged([two])
    assert tasks_following.data(whole.events) == tasks_work.logged([one, two])
    assert task.last_line == one.line_count + two.line_count


def remove_with_rm(repository: Path, worktree: str) -> None:
    shutil.rmtree(worktree)


def remove_with_git(repository: Path, worktree: str) -> None:
    repositories.git(repository, "worktree", "remove", "--force", "--force", worktree)


@pytest.mark.parametrize("remove", [remove_with_rm, remove_with_git])
def test_a_worktree_that_is_gone_is_made_again_at_the_same_path(
    client: taskgrove.Client, repository: Path, remove: Callable[[Path, str], None]
) -> None:
    first = tasks_work.run(client, NOTES, repository)
    remove(repository, first.worktree.path)
    task = continued(client, first)
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "2")
    assert task.worktree.path == first.worktree.path
    assert repositories.worktree_paths(repository) == [task.worktree.path]
    assert repositories.git(task.worktree.path, "symbolic-ref", "--short", "HEAD") == first.worktree.branch
    assert repositories.head(repository, f"{first.worktree.branch}^") == first.worktree.head_commit


def test_a_worktree_that_cannot_be_made_again_fails_the_task(client: taskgrove.Client, repository: Path) -> None:
    first = tasks_work.run(client, NOTES, repository)
    shutil.rmtree(first.worktree.path)
    elsewhere = repository.rename(repository.with_name("elsewhere"))
    failed = continued(client, first)
    assert failed.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    assert failed.run_count == 1
    # Nothing is lost: with the repository back, the task goes on, session and all.
    elsewhere.rename(repository)
    task = continued(client, failed)
    assert (task.state, task.run_count, task.result) == (Task.STATE_SUCCEEDED, 2, "2")
    assert len({run.session_id for run in tasks_work.runs(client, task)}) == 1


def test_a_failed_task_goes_on_where_it_was(client: taskgrove.Client, repository: Path) -> None:
    fails_first = 'echo work >> work.txt; [ "$TASKGROVE_RESUMES" = 1 ]'
    failed = tasks_work.run(client, fails_first, repository)
    assert failed.state == Task.STATE_FAILED
    task = continued(client, failed)
    assert task.state == Task.STATE_SUCCEEDED
    assert not task.HasField("failure")
    assert repositories.git(repository, "show", f"{task.worktree.branch}:work.txt") == "work\nwork"


def test_a_cancelled_task_goes_on_where_it_was(client: taskgrove.Client, tmp_path: Path) -> None:
    with Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, f"{NOTES}; {gate.pass_through}")
        task_id = client.enqueue(task_list.id, "Do it").id
        gate.wait_for_arrivals()
        client.cancel(task_id)
        cancelled = tasks_work.rest(client, task_id)
        assert cancelled.state == Task.STATE_CANCELLED
    task = continued(client, cancelled)
    assert (task.state, task.result, task.cancel_requested) == (Task.STATE_SUCCEEDED, "2", False)
    one, two = tasks_work.runs(client, task)
    assert (one.state, two.state) == (Run.STATE_CANCELLED, Run.STATE_SUCCEEDED)
    assert one.session_id == two.session_id


def test_a_continued_run_may_be_retried_as_well(client: taskgrove.Client) -> None:
    counts = "echo x >> count; [ $(wc -l < count) != 2 ] || exit 75; wc -l < count"
    task = continued(client, tasks_work.run(client, counts))
    assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "3")
    assert [run.is_retry for run in tasks_work.runs(client, task)] == [False, False, True]
    # The retry of a run before does not use up the one of the next prompt.
    assert continued(client, task).run_count == 4


def test_settings_are_resolved_anew_for_a_continued_run(client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "echo old")
    first = tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id)
    client.update_task_list(task_list.id, defaults=tasks_work.shell("echo new"))
    assert (first.result, continued(client, first).result) == ("old", "new")


def test_a_task_that_does_not_rest_is_not_continued(tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "1") as server,
        server.client() as client,
        Gate(tmp_path / "gate") as gate,
    ):
        task_list = tasks_work.make_list(client, gate.pass_through)
        running, waiting = [client.enqueue(task_list.id, title).id for title in ("First", "Second")]
        gate.wait_for_arrivals()
        for task_id, state in ((running, "running"), (waiting, "queued")):
            with pytest.raises(taskgrove.TaskActive) as refused:
                client.continue_task(task_id, "Go on.")
            assert refused.value.metadata["state"] == state
            assert refused.value.metadata["task_id"] == task_id
        gate.open()
        for task_id in (running, waiting):
            task = tasks_work.rest(client, task_id)
            assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)
            # At rest it is continued.
            assert continued(client, task).run_count == 2


def test_a_task_that_never_ran_is_not_continued(tmp_path: Path) -> None:
    with RunningServer("--slots", "1") as server, server.client() as client, Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        _, waiting = [client.enqueue(task_list.id, title).id for title in ("First", "Second")]
        gate.wait_for_arrivals()
        client.cancel(waiting)
        before = client.get_task(waiting)
        with pytest.raises(taskgrove.NoPreviousRun):
            client.continue_task(waiting, "Go on.")
        assert client.get_task(waiting) == before


def test_a_task_without_a_session_is_not_continued(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    tasks_work.execute(server, "UPDATE run SET session_id = NULL WHERE task_id = ?", task.id)
    with pytest.raises(taskgrove.SessionMissing):
        client.continue_task(task.id, "Go on.")
    assert client.get_task(task.id) == task


def test_a_task_whose_list_was_deleted_is_not_continued(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    client.delete_task_list(task.task_list_id)
    with pytest.raises(taskgrove.TaskListDeleted):
        client.continue_task(task.id, "Go on.")
    assert client.get_task(task.id) == task


def test_a_task_that_does_not_exist_is_not_continued(client: taskgrove.Client) -> None:
    with pytest.raises(taskgrove.TaskNotFound):
        client.continue_task("aaaaaaaaaaaa", "Go on.")
