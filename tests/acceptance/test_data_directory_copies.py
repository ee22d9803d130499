"""A server on a copy of a data directory leaves everything alone that is the original's."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import data_directories, repositories, tasks_following, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove import FailureKind
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task, Worktree

#: Commits nothing, tells its process id and that of a tool in a session of its own, and waits at a gate.
AT_WORK = "echo begun > work.txt; echo $$; setsid sh -c 'echo $$; sleep 1000' & {gate}; echo done >> work.txt"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


def follow_to_work(client: taskgrove.Client, task_id: str) -> tuple[Follower, list[int]]:
    """Returns what follows a task, and the two process ids that its agent has told."""
    follower = Follower(client, task_id)
    follower.wait_for(lambda events: len(tasks_following.texts(events)) == 2, "two process ids")
    return follower, [int(text) for text in tasks_following.texts(follower.events)]


@pytest.mark.parametrize("original_serves", [True, False])
def test_the_agents_of_the_original_go_on(
    server: RunningServer,
    client: taskgrove.Client,
    repository: Path,
    gate: Gate,
    *,
    original_serves: bool,
) -> None:
    task_list = tasks_work.make_list(client, AT_WORK.format(gate=gate.pass_through), repository)
    task = client.enqueue(task_list.id, "Do it")
    _, pids = follow_to_work(client, task.id)
    if not original_serves:
        server.terminate()
    known = (data_directories.refs(repository), data_directories.registrations(repository))
    with data_directories.copy(server) as copy, copy.client() as other:
        there = other.get_task(task.id)
        assert (there.state, there.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_INTERRUPTED)
        assert str(server.data.resolve()) in there.failure.message
        (run,) = tasks_work.runs(other, there)
        assert (run.state, run.failure.kind) == (Run.STATE_FAILED, FailureKind.FAILURE_KIND_INTERRUPTED)
        assert Path(run.log_path).is_relative_to(copy.data.resolve())
        assert run.line_count == 2
        about = other.get_server_info().data_directory
        assert (about.path, about.copied_from) == (str(copy.data.resolve()), str(server.data.resolve()))
        assert all(tasks_processes.is_alive(pid) for pid in pids)
        assert (data_directories.refs(repository), data_directories.registrations(repository)) == known
        assert "is a copy of" in copy.log.read_text()
        if not original_serves:
            server.start()
        with server.client() as again:
            assert again.get_server_info().data_directory.id != about.id
            assert again.get_server_info().data_directory.copied_from == ""
            assert all(tasks_processes.is_alive(pid) for pid in pids)
            gate.open()
            rested = tasks_work.rest(again, task.id)
        assert (rested.state, rested.run_count) == (Task.STATE_SUCCEEDED, 1)
        assert repositories.git(repository, "show", f"{rested.worktree.branch}:work.txt") == "begun\ndone"
        assert other.get_task(task.id).state == Task.STATE_FAILED


def test_what_is_done_in_the_copy_changes_nothing_of_the_original(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    command = 'echo "$TASKGROVE_RESUMES" >> work.txt; git rev-parse HEAD; git symbolic-ref HEAD'
    task_list = tasks_work.make_list(client, command, repository)
    names = ("continued", "retried", "discarded", "landed", "deleted", "untouched")
    tasks = {name: tasks_work.rest(client, client.enqueue(task_list.id, name).id) for name in names}
    for task in tasks.values():
        Path(task.worktree.path, "not committed").write_text("yet")
    client.discard_worktree(tasks["deleted"].id)
    known = (data_directories.refs(repository), data_directories.registrations(repository))
    files = {part: data_directories.files(server.data / part) for part in ("worktrees", "logs", "sandboxes")}
    heads = {name: task.worktree.head_commit for name, task in tasks.items()}
    with data_directories.copy(server) as copy, copy.client() as other:
        assert (data_directories.refs(repository), data_directories.registrations(repository)) == known
        for name, task in tasks.items():
            there = other.get_task(task.id).worktree
            assert there.branch != task.worktree.branch
            assert there.state == (Worktree.STATE_DISCARDED if name == "deleted" else Worktree.STATE_PRUNED)
        assert other.get_worktree_status(tasks["continued"].id).head_commit == heads["continued"]
        other.continue_task(tasks["continued"].id, "Go on.")
        continued = tasks_work.rest(other, tasks["continued"].id)
        assert continued.state == Task.STATE_SUCCEEDED
        assert Path(continued.worktree.path).is_relative_to(copy.data.resolve())
        assert repositories.git(repository, "show", f"{continued.worktree.branch}:work.txt") == "0\n1"
        base = repositories.git(repository, "rev-parse", f"{continued.worktree.branch}~1")
        assert base == heads["continued"]
        other.retry_task(tasks["retried"].id)
        retried = tasks_work.rest(other, tasks["retried"].id)
        assert retried.state == Task.STATE_SUCCEEDED
        assert retried.worktree.branch not in {task.worktree.branch for task in tasks.values()}
        other.discard_worktree(tasks["discarded"].id)
        other.land(tasks["landed"].id)
        other.delete_task(tasks["deleted"].id)
        pruned = other.prune_worktrees(rested_for=timedelta(0))
        assert {removal.task_id for removal in pruned.removals} == {tasks["continued"].id, tasks["retried"].id}
        refs, registrations = data_directories.refs(repository), data_directories.registrations(repository)
        assert {ref: refs.get(ref) for ref in known[0] if ref != "refs/heads/main"} == {
            ref: commit for ref, commit in known[0].items() if ref != "refs/heads/main"
        }
        assert {name: registrations.get(name) for name in known[1]} == known[1]
        assert {part: data_directories.files(server.data / part) for part in files} == files
        # The original goes on, and so do both, with new tasks.
        client.continue_task(tasks["continued"].id, "Go on.")
        assert tasks_work.rest(client, tasks["continued"].id).state == Task.STATE_SUCCEEDED
        new = tasks_work.rest(other, other.enqueue(task_list.id, "A new one").id)
        also = tasks_work.rest(client, client.enqueue(task_list.id, "A new one").id)
        assert new.worktree.branch != also.worktree.branch
        client.discard_worktree(tasks["discarded"].id)
        client.delete_task(tasks["retried"].id, discard_worktree=True)
        assert repositories.head(repository, retried.worktree.branch) == retried.worktree.head_commit
        assert "Traceback" not in copy.log.read_text() + server.log.read_text()


def test_what_waited_is_left_to_the_original(server: RunningServer, client: taskgrove.Client, gate: Gate) -> None:
    task_list = tasks_work.make_list(client, gate.pass_through)
    busy = [client.enqueue(task_list.id, f"Busy {n}") for n in range(4)]
    gate.wait_for_arrivals(4)
    waiting = client.enqueue(task_list.id, "Waits")
    with data_directories.copy(server) as copy, copy.client() as other:
        for task in (*busy, waiting):
            there = other.get_task(task.id)
            assert (there.state, there.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_INTERRUPTED)
        assert other.get_task(waiting.id).run_count == 0
        gate.open()
        assert tasks_work.rest(client, waiting.id).state == Task.STATE_SUCCEEDED
        other.retry_task(waiting.id)
        assert tasks_work.rest(other, waiting.id).state == Task.STATE_SUCCEEDED


def test_a_copy_of_a_copy_has_an_id_of_its_own(server: RunningServer, client: taskgrove.Client) -> None:
    ids = {client.get_server_info().data_directory.id}
    unstarted = data_directories.copy(server)
    with data_directories.copy(unstarted) as second, unstarted:
        for one in (second, unstarted):
            with one.client() as other:
                about = other.get_server_info().data_directory
                assert about.copied_from == str(server.data.resolve())
                ids.add(about.id)
        with data_directories.copy(second) as third, third.client() as other:
            about = other.get_server_info().data_directory
            assert about.copied_from == str(second.data.resolve())
            ids.add(about.id)
    assert len(ids) == 4


def test_a_copy_stays_one_when_it_is_started_again(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task = tasks_work.run(client, "date +%N > work.txt", repository)
    with data_directories.copy(server) as copy:
        with copy.client() as other:
            about = other.get_server_info().data_directory
            other.retry_task(task.id)
            retried = tasks_work.rest(other, task.id)
        copy.terminate()
        server.terminate()
        copy.start()
        with copy.client() as other:
            assert other.get_server_info().data_directory == about
            assert other.get_task(task.id) == retried
            assert Path(retried.worktree.path, "work.txt").exists()


def test_a_copy_whose_original_was_moved_away_is_found_by_the_agents_that_work_there(
    server: RunningServer, client: taskgrove.Client, repository: Path, gate: Gate
) -> None:
    task_list = tasks_work.make_list(client, AT_WORK.format(gate=gate.pass_through), repository)
    task = client.enqueue(task_list.id, "Do it")
    _, pids = follow_to_work(client, task.id)
    server.terminate()
    copy = data_directories.copy(server)
    data_directories.move(server, server.root / "moved")
    with copy, copy.client() as other:
        assert other.get_server_info().data_directory.copied_from == str(server.data.resolve())
        assert other.get_task(task.id).state == Task.STATE_FAILED
        assert all(tasks_processes.is_alive(pid) for pid in pids)
        server.start()
        gate.open()
        with server.client() as again:
            assert tasks_work.rest(again, task.id).state == Task.STATE_SUCCEEDED


def test_a_copy_in_the_place_of_its_original_is_found_by_the_agents_that_work_elsewhere(
    server: RunningServer, client: taskgrove.Client, gate: Gate
) -> None:
    task_list = tasks_work.make_list(client, AT_WORK.format(gate=gate.pass_through))
    task = client.enqueue(task_list.id, "Do it")
    _, pids = follow_to_work(client, task.id)
    server.terminate()
    place, moved = server.data, server.root / "moved"
    data_directories.move(server, moved)
    data_directories.copy_tree(moved, place)
    server.data = place
    server.start()
    with server.client() as other:
        assert other.get_server_info().data_directory.copied_from == str(moved.resolve())
        assert other.get_task(task.id).state == Task.STATE_FAILED
    server.terminate()
    assert all(tasks_processes.is_alive(pid) for pid in pids)
    server.data = moved
    server.start()
    gate.open()
    with server.client() as again:
        assert tasks_work.rest(again, task.id).state == Task.STATE_SUCCEEDED


def test_a_directory_that_was_renamed_keeps_its_worktrees_though_a_copy_is_in_its_old_place(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task = tasks_work.run(client, "echo it >> work.txt", repository)
    Path(task.worktree.path, "not committed").write_text("yet")
    server.terminate()
    place, moved = server.data, server.root / "moved"
    data_directories.move(server, moved)
    data_directories.copy_tree(moved, place)
    server.start()
    with server.client() as again:
        assert again.get_worktree_status(task.id).uncommitted_files == 1
        again.continue_task(task.id, "Go on.")
        continued = tasks_work.rest(again, task.id)
    assert continued.worktree.branch == task.worktree.branch
    assert Path(continued.worktree.path).is_relative_to(moved.resolve())
    assert repositories.git(repository, "show", f"{task.worktree.branch}:not committed") == "yet"
    server.terminate()
    server.data = place
    server.start()
    with server.client() as other:
        assert other.get_server_info().data_directory.copied_from == str(moved.resolve())
        other.continue_task(task.id, "Go on.")
        assert tasks_work.rest(other, task.id).worktree.branch != task.worktree.branch


def test_the_copied_files_of_worktrees_are_kept_where_git_does_not_take_them_for_the_originals(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task = tasks_work.run(client, "echo it > work.txt", repository)
    Path(task.worktree.path, "not committed").write_text("yet")
    with data_directories.copy(server) as copy:
        kept = copy.data / "copied-worktrees-1" / task.id
        assert (kept / "not committed").read_text() == "yet"
        said = subprocess.run(["git", "-C", str(kept), "status"], check=False, capture_output=True)
        assert said.returncode != 0
        assert str(kept.parent.resolve()) in copy.log.read_text()


def test_a_copy_that_was_made_of_an_earlier_version_leaves_the_original_alone(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    task = tasks_work.run(client, "date +%N > work.txt", repository)
    server.terminate()
    copy = data_directories.copy(server)
    for one in (server, copy):
        data_directories.make_of_earlier_version(one.data, server.data)
    known = (data_directories.refs(repository), data_directories.registrations(repository))
    with copy, copy.client() as other:
        assert other.get_server_info().data_directory.copied_from == str(server.data.resolve())
        other.discard_worktree(task.id)
        other.delete_task(task.id)
        refs, registrations = data_directories.refs(repository), data_directories.registrations(repository)
        assert {name: refs.get(name) for name in known[0]} == known[0]
        assert registrations == known[1]
    server.start()
    with server.client() as again:
        assert again.get_server_info().data_directory.copied_from == ""
        assert again.get_task(task.id) == task
        with Follower(again, task.id) as follower:
            assert follower.rested() == task


def test_original_and_copy_may_be_started_at_once(
    server: RunningServer, client: taskgrove.Client, repository: Path, gate: Gate
) -> None:
    task_list = tasks_work.make_list(client, AT_WORK.format(gate=gate.pass_through), repository)
    task = client.enqueue(task_list.id, "Do it")
    _, pids = follow_to_work(client, task.id)
    server.kill()
    copy = data_directories.copy(server)
    with ThreadPoolExecutor(2) as pool:
        for started in [pool.submit(one.start) for one in (server, copy)]:
            started.result()
    with copy_ended(copy), server.client() as again, copy.client() as other:
        assert again.get_server_info().data_directory.copied_from == ""
        assert other.get_server_info().data_directory.copied_from == str(server.data.resolve())
        assert all(tasks_processes.is_alive(pid) for pid in pids)
        gate.open()
        assert tasks_work.rest(again, task.id).state == Task.STATE_SUCCEEDED
        assert other.get_task(task.id).state == Task.STATE_FAILED


def test_copies_that_are_made_while_much_is_written_are_copies_or_are_told_to_be_damaged(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    """Whatever came of a copy of a database that was being written to, the original does not feel it."""
    task_list = tasks_work.make_list(client, "date +%N > work.txt; seq 200", repository)
    tasks = [client.enqueue(task_list.id, f"Task {n}").id for n in range(12)]
    for _ in range(2):
        copy = data_directories.copy(server)
        with copy_ended(copy):
            try:
                copy.start()
            except AssertionError as refused:
                assert "The database" in str(refused)  # noqa: PT017
                continue
            with copy.client() as other:
                assert other.get_server_info().data_directory.copied_from == str(server.data.resolve())
                states = {task.state for task in other.list_tasks()}
                assert states <= {Task.STATE_SUCCEEDED, Task.STATE_FAILED}
    for task_id in tasks:
        task = tasks_work.rest(client, task_id)
        assert (task.state, task.run_count) == (Task.STATE_SUCCEEDED, 1)
        (run,) = tasks_work.runs(client, task)
        # The last one is that of the agent's end.
        assert run.line_count == 201
        assert repositories.head(repository, task.worktree.branch) == task.worktree.head_commit


@contextlib.contextmanager
def copy_ended(copy: RunningServer) -> Generator[None]:
    """Leaves nothing behind of a server that was started otherwise."""
    try:
        yield
    finally:
        copy.__exit__()
