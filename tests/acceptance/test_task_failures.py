"""Tasks that fail, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_following, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """One server for all tests of this file; each has lists and repositories of its own."""
    with RunningServer("--slots", "4", "--retry-pause", "0.1") as running:
        yield running


def test_a_failure_rests_with_its_kind_and_is_not_retried(client: taskgrove.Client, repository: Path) -> None:
    task = tasks_work.run(client, "echo half > half.txt; echo 'no such thing' >&2; exit 1", repository)
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_AGENT
    assert "exited with code 1" in task.failure.message
    assert "no such thing" in task.failure.message
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.exit_code, run.is_retry) == (Run.STATE_FAILED, 1, False)
    assert run.failure == task.failure
    # Nothing is committed; the work is still there, to be continued.
    assert repositories.head(repository, task.worktree.branch) == task.worktree.base_commit
    assert Path(task.worktree.path, "half.txt").read_text() == "half\n"


FAILS_ONCE = """
cat > "prompt.$TASKGROVE_RESUMES"; echo "$TASKGROVE_SESSION_ID" >> sessions
if [ "$TASKGROVE_RESUMES" = 0 ]; then echo first; echo 'try later' >&2; exit 75; fi
echo second
"""


def test_a_temporary_failure_is_retried_once_in_the_same_session(client: taskgrove.Client, repository: Path) -> None:
    task_list = tasks_work.make_list(client, FAILS_ONCE, repository)
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        task = follower.rested()
    assert task.state == Task.STATE_SUCCEEDED
    assert task.result == "second"
    assert not task.HasField("failure")
    first, second = tasks_work.runs(client, task)
    assert (first.number, first.state, first.is_retry, first.exit_code) == (1, Run.STATE_FAILED, False, 75)
    assert (second.number, second.state, second.is_retry, second.exit_code) == (2, Run.STATE_SUCCEEDED, True, 0)
    assert first.failure.kind == taskgrove.FailureKind.FAILURE_KIND_OVERLOADED
    assert "try later" in first.failure.message
    assert second.prompt.startswith(f"The previous attempt failed with:\n\n{first.failure.message}\n\n")
    assert second.start_time.ToDatetime() - first.finish_time.ToDatetime() >= timedelta(seconds=0.1)
    # The program was given what the rows say, and one commit has all.
    directory = Path(task.worktree.path)
    assert (directory / "prompt.0").read_text() == first.prompt == "Do it"
    assert (directory / "prompt.1").read_text() == second.prompt
    assert (directory / "sessions").read_text().splitlines() == [first.session_id] * 2 == [second.session_id] * 2
    assert repositories.head(repository, f"{task.worktree.branch}^") == task.worktree.base_commit
    # The watcher learned of the new run.
    assert tasks_following.texts(follower.events) == ["first", "second"]
    assert [line.run_number for line in tasks_following.lines(follower.events)] == [1, 1, 1, 2, 2]
    assert any(isinstance(event, taskgrove.TaskChanged) and event.task.run_count == 2 for event in follower.events)


def test_a_retry_that_fails_as_well_is_the_last(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, 'echo "resumes: $TASKGROVE_RESUMES" >&2; exit 75')
    assert task.state == Task.STATE_FAILED
    first, second = tasks_work.runs(client, task)
    assert (first.is_retry, second.is_retry) == (False, True)
    assert second.failure == task.failure
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_OVERLOADED
    assert task.failure.retryable
    assert "resumes: 1" in task.failure.message


def test_a_program_that_is_not_there_fails_the_task(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, ["/no/such/program"])
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_AGENT_NOT_FOUND
    assert "/no/such/program" in task.failure.message
    (run,) = tasks_work.runs(client, task)
    assert (run.state, run.exit_code) == (Run.STATE_FAILED, 127)


@pytest.mark.parametrize("where", ["list", "task"])
def test_a_run_that_takes_too_long_is_stopped(client: taskgrove.Client, where: str) -> None:
    short, unset = timedelta(seconds=1), None
    task_list = client.create_task_list(
        "A list",
        defaults=tasks_work.shell(
            "setsid sleep 1000 & echo $!; exec sleep 1000", run_timeout=short if where == "list" else unset
        ),
    )
    overrides = taskgrove.run_config(run_timeout=short if where == "task" else unset)
    with Follower(client, client.enqueue(task_list.id, "Do it", overrides=overrides).id) as follower:
        task = follower.rested()
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_TIMEOUT
    assert task.failure.retryable
    (run,) = tasks_work.runs(client, task)
    assert run.state == Run.STATE_FAILED
    assert timedelta(seconds=1) <= run.finish_time.ToDatetime() - run.start_time.ToDatetime() < timedelta(seconds=15)
    (child,) = tasks_following.texts(follower.events)
    assert not tasks_processes.is_alive(int(child))
    assert tasks_processes.of_runs([run]) == []


def test_a_run_that_has_its_result_in_time_is_not_failed_for_what_it_leaves_behind(client: taskgrove.Client) -> None:
    # To end the child, which does not listen, takes until after the run's time.
    leaves = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $!"
    task_list = client.create_task_list("A list", defaults=tasks_work.shell(leaves, run_timeout=timedelta(seconds=1)))
    with Follower(client, client.enqueue(task_list.id, "Do it").id) as follower:
        task = follower.rested()
    assert (task.state, task.failure.message) == (Task.STATE_SUCCEEDED, "")
    (run,) = tasks_work.runs(client, task)
    assert run.finish_time.ToDatetime() - run.start_time.ToDatetime() > timedelta(seconds=1)
    (child,) = tasks_following.texts(follower.events)
    assert not tasks_processes.is_alive(int(child))


def test_a_task_whose_list_is_gone_fails(tmp_path: Path) -> None:
    with (
        RunningServer("--slots", "1") as server,
        server.client() as client,
        Gate(tmp_path / "gate") as gate,
    ):
        blocking = client.enqueue(tasks_work.make_list(client, gate.pass_through).id, "Block")
        gate.wait_for_arrivals()
        doomed = tasks_work.make_list(client, "echo never")
        waiting = client.enqueue(doomed.id, "Do it")
        # The API refuses to delete a list with a queued task.
        with pytest.raises(taskgrove.TaskListActive):
            client.delete_task_list(doomed.id)
        tasks_work.execute(server, "DELETE FROM task_list WHERE id = ?", doomed.id)
        gate.open()
        task = tasks_work.rest(client, waiting.id)
        assert task.state == Task.STATE_FAILED
        assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_TASK_LIST_NOT_FOUND
        assert task.failure.message == "List not found."
        assert tasks_work.runs(client, task) == []
        assert tasks_work.rest(client, blocking.id).state == Task.STATE_SUCCEEDED


def test_a_repository_that_is_gone_fails_the_task_and_leaves_nothing_behind(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task_list = tasks_work.make_list(client, "echo never", repository)
    elsewhere = repository.rename(repository.with_name("elsewhere"))
    task = tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id)
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    assert task.failure.message.startswith("Worktree creation failed: ")
    assert str(repository) in task.failure.message
    assert tasks_work.runs(client, task) == []
    assert not repository.exists()
    assert repositories.branches(elsewhere) == ["main"]
    # Back again, the next task finds nothing wrong.
    elsewhere.rename(repository)
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id).state == Task.STATE_SUCCEEDED


def test_a_checkout_that_fails_half_way_leaves_no_branch_and_no_directory(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    tasks_work.add_filter(repository, smudge="echo out of order >&2; false")
    task = tasks_work.run(client, "echo never", repository)
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    assert task.failure.message.startswith("Worktree creation failed: ")
    assert "out of order" in task.failure.message
    assert repositories.branches(repository) == ["main"]
    assert repositories.worktree_paths(repository) == []
    assert not (server.data / "worktrees" / task.id).exists()
    with pytest.raises(taskgrove.NoPreviousRun):
        client.continue_task(task.id, "Go on.")


def test_a_commit_that_fails_fails_the_task_and_keeps_the_work(client: taskgrove.Client, repository: Path) -> None:
    tasks_work.add_filter(repository, clean="echo cannot clean >&2; false")
    task_list = tasks_work.make_list(client, "echo work > b.filtered; echo done", repository)
    task = tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id)
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_COMMIT
    assert "cannot clean" in task.failure.message
    (run,) = tasks_work.runs(client, task)
    assert run.state == Run.STATE_SUCCEEDED
    assert Path(task.worktree.path, "b.filtered").read_text() == "work\n"
    assert repositories.head(repository, task.worktree.branch) == task.worktree.base_commit
    # With the cause out of the way, a further run brings it home.
    tasks_work.set_filter(repository)
    client.continue_task(task.id, "Try again.")
    mended = tasks_work.rest(client, task.id)
    assert mended.state == Task.STATE_SUCCEEDED
    assert not mended.HasField("failure")
    assert repositories.git(repository, "show", f"{mended.worktree.branch}:b.filtered") == "work"


def test_an_error_of_the_servers_own_fails_the_task_frees_its_slot_and_leaves_no_worktree(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task_list = tasks_work.make_list(client, "echo fine", repository)
    runs = server.data / "runs"
    aside = runs.rename(runs.with_name("aside"))
    runs.touch()  # no directory, so that none can be made in it
    try:
        queued = [client.enqueue(task_list.id, "Do it") for _ in range(6)]  # more than there are slots
        for task in [tasks_work.rest(client, task.id) for task in queued]:
            assert task.state == Task.STATE_FAILED
            assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_INTERNAL
            assert task.failure.message.startswith("Unhandled error: ")
        assert repositories.branches(repository) == ["main"]
        assert repositories.worktree_paths(repository) == []
    finally:
        runs.unlink()
        aside.rename(runs)
    tasks_gates.until(lambda: "Traceback" in server.log.read_text(), "the error's trace in the server's log")
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Do it").id).result == "fine"
