"""A data directory that is moved or restored is whole at its new place."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskgrove
from support import (
    claude_cli,
    data_directories,
    repositories,
    tasks_following,
    tasks_gates,
    tasks_processes,
    tasks_work,
)
from support.model_api import ModelApi, Step
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from taskgrove import FailureKind
from taskgrove.v1.task_pb2 import Task


def rename(server: RunningServer, to: Path) -> None:
    """Moves the directory on its disk."""
    data_directories.move(server, to)


def carry_over(server: RunningServer, to: Path) -> None:
    """Moves the directory as to another disk or machine."""
    data_directories.copy_tree(server.data, to)
    shutil.rmtree(server.data)
    server.data = to


WAYS = pytest.mark.parametrize("move", [rename, carry_over])

Move = Callable[[RunningServer, Path], None]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture
def place(server: RunningServer) -> Path:
    """Another place for a server's data directory."""
    (server.root / "elsewhere").mkdir()
    return server.root / "elsewhere" / "data"


@WAYS
def test_logs_and_worktrees_are_found_and_tasks_can_be_continued(
    server: RunningServer, client: taskgrove.Client, repository: Path, place: Path, move: Move
) -> None:
    command = "echo $TASKGROVE_RESUMES | tee -a work.txt; echo more >> left.txt; rm -f left.txt"
    task = tasks_work.run(client, command, repository)
    sandboxed = tasks_work.run(client, "echo here > file; pwd")
    Path(task.worktree.path, "not committed").write_text("yet")
    identity = client.get_server_info().data_directory.id
    server.terminate()
    move(server, place)
    server.start()
    with server.client() as again:
        about = again.get_server_info().data_directory
        assert (about.path, about.id, about.copied_from) == (str(place.resolve()), identity, "")
        moved = again.get_task(task.id)
        assert moved.worktree.path == str(place.resolve() / "worktrees" / task.id)
        assert repositories.worktree_paths(repository) == [moved.worktree.path]
        (run,) = tasks_work.runs(again, moved)
        assert run.log_path == str(place.resolve() / "logs" / Path(run.log_path).name)
        with Follower(again, task.id) as follower:
            follower.rested()
        assert tasks_following.texts(follower.events) == ["0"]
        assert again.get_worktree_status(task.id).uncommitted_files == 1
        for one in (task, sandboxed):
            again.continue_task(one.id, "Go on.")
            assert tasks_work.rest(again, one.id).state == Task.STATE_SUCCEEDED
        assert repositories.git(repository, "show", f"{task.worktree.branch}:work.txt") == "0\n1"
        assert repositories.git(repository, "show", f"{task.worktree.branch}:not committed") == "yet"
        assert again.get_task(sandboxed.id).result == str(place.resolve() / "sandboxes" / sandboxed.id)
        again.discard_worktree(task.id)
    assert repositories.worktree_paths(repository) == []
    assert "Traceback" not in server.log.read_text()


def test_paths_in_the_directory_are_stored_relative_to_it(
    server: RunningServer, client: taskgrove.Client, repository: Path
) -> None:
    tasks_work.run(client, "echo it > work.txt", repository)
    tasks_work.run(client, "true")
    server.terminate()
    database = sqlite3.connect(server.data / "taskgrove.db")
    dumped = "\n".join(database.iterdump())
    database.close()
    assert str(server.data.resolve()) not in dumped


def test_agents_that_live_are_adopted_where_they_are_now(
    server: RunningServer, client: taskgrove.Client, repository: Path, place: Path, gate: Gate
) -> None:
    command = f"echo $$; pwd > before.txt; {gate.pass_through}; /bin/pwd; cat > answer.txt; echo done"
    task_list = tasks_work.make_list(client, command, repository)
    task = client.enqueue(task_list.id, "Do it")
    Follower(client, task.id).wait_for(tasks_following.texts, "a process id")
    server.terminate()
    rename(server, place)
    server.start()
    with server.client() as again, Follower(again, task.id) as follower:
        assert again.get_task(task.id).state == Task.STATE_RUNNING
        gate.open()
        rested = follower.rested()
    assert (rested.state, rested.run_count) == (Task.STATE_SUCCEEDED, 1)
    assert tasks_following.texts(follower.events)[1:] == [str(place.resolve() / "worktrees" / task.id), "done"]
    assert repositories.git(repository, "ls-tree", "--name-only", rested.worktree.branch).split() == [
        "README.md",
        "answer.txt",
        "before.txt",
    ]


def test_an_agent_that_lives_can_be_cancelled_where_it_is_now(
    server: RunningServer, client: taskgrove.Client, place: Path
) -> None:
    task_list = tasks_work.make_list(client, "echo $$; setsid sh -c 'echo $$; sleep 1000' & wait")
    task = client.enqueue(task_list.id, "Do it")
    follower = Follower(client, task.id)
    follower.wait_for(lambda events: len(tasks_following.texts(events)) == 2, "two process ids")
    pids = [int(text) for text in tasks_following.texts(follower.events)]
    server.terminate()
    rename(server, place)
    server.start()
    with server.client() as again:
        again.cancel(task.id)
        assert tasks_work.rest(again, task.id).state == Task.STATE_CANCELLED
    assert not any(tasks_processes.is_alive(pid) for pid in pids)


@WAYS
def test_a_run_that_ended_while_no_server_was_there_counts(
    server: RunningServer, client: taskgrove.Client, repository: Path, place: Path, gate: Gate, move: Move
) -> None:
    task_list = tasks_work.make_list(client, f"{gate.pass_through}; echo it > work.txt; echo done", repository)
    task = client.enqueue(task_list.id, "Do it")
    gate.wait_for_arrivals()
    (supervisor,) = tasks_processes.supervisors(server)
    server.terminate()
    gate.open()
    tasks_gates.until(lambda: not tasks_processes.is_alive(supervisor), "the end of the run")
    move(server, place)
    server.start()
    with server.client() as again:
        rested = tasks_work.rest(again, task.id)
    assert (rested.state, rested.run_count, rested.result) == (Task.STATE_SUCCEEDED, 1, "done")
    assert repositories.git(repository, "show", f"{rested.worktree.branch}:work.txt") == "it"


def test_an_agent_whose_place_is_gone_is_ended(
    server: RunningServer, client: taskgrove.Client, place: Path, tmp_path: Path
) -> None:
    task_list = tasks_work.make_list(client, "echo $$; exec sleep 1000")
    task = client.enqueue(task_list.id, "Do it")
    follower = Follower(client, task.id)
    follower.wait_for(tasks_following.texts, "a process id")
    (pid,) = (int(text) for text in tasks_following.texts(follower.events))
    server.terminate()
    carry_over(server, place)
    server.start()
    with server.client() as again:
        rested = tasks_work.rest(again, task.id)
    assert (rested.state, rested.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_INTERRUPTED)
    tasks_gates.until(lambda: not tasks_processes.is_alive(pid), "the end of the agent")


def test_a_run_of_which_nothing_but_its_row_was_restored_is_not_begun_again(
    server: RunningServer, client: taskgrove.Client, place: Path, tmp_path: Path, gate: Gate
) -> None:
    ran = tmp_path / "ran"
    task_list = tasks_work.make_list(client, f"echo it >> {ran}; {gate.pass_through}")
    task = client.enqueue(task_list.id, "Do it")
    gate.wait_for_arrivals()
    server.kill()
    data_directories.copy_tree(server.data, place)
    shutil.rmtree(place / "runs")
    gate.open()
    shutil.rmtree(server.data)
    server.data = place
    server.start()
    with server.client() as again:
        rested = tasks_work.rest(again, task.id)
    assert (rested.state, rested.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_INTERRUPTED)
    assert ran.read_text() == "it\n"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 7}', '{"id": "x", "path": "/"}'])
def test_a_damaged_note_is_told_and_nothing_is_begun(server: RunningServer, content: str) -> None:
    server.terminate()
    note = server.data / "identity.json"
    good = note.read_text()
    note.write_text(content)
    with pytest.raises(AssertionError, match="is damaged"):
        server.start()
    assert note.read_text() == content
    assert "Traceback" not in server.log.read_text()
    note.write_text(good)
    server.start()


def test_a_directory_of_a_version_without_a_note_gets_one(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "true")
    server.terminate()
    (server.data / "identity.json").unlink()
    server.start()
    with server.client() as again:
        about = again.get_server_info().data_directory
        assert about.copied_from == ""
        assert again.get_task(task.id) == task
    assert json.loads((server.data / "identity.json").read_text())["id"] == about.id


def test_a_link_to_the_directory_is_the_same_place(
    server: RunningServer, client: taskgrove.Client, repository: Path, place: Path
) -> None:
    task = tasks_work.run(client, "echo it >> work.txt", repository)
    about = client.get_server_info().data_directory
    server.terminate()
    place.symlink_to(server.data)
    server.data = place
    server.start()
    with server.client() as again:
        assert again.get_server_info().data_directory == about
        again.continue_task(task.id, "Go on.")
        assert tasks_work.rest(again, task.id).worktree.path == task.worktree.path
    assert "moved" not in server.log.read_text()


def test_a_bind_mount_of_the_directory_is_the_same_place(repository: Path) -> None:
    with RunningServer(*data_directories.FLAGS) as server:
        with server.client() as client:
            task = tasks_work.run(client, "echo it >> work.txt", repository)
            about = client.get_server_info().data_directory
        server.terminate()
        place, mounted = server.data, server.root / "mounted"
        mounted.mkdir()
        within = data_directories.mounting(place, mounted)
        with RunningServer(*data_directories.FLAGS, within=within) as other:
            other.terminate()
            other.data = mounted
            # What is mounted is seen within alone.
            other.start("--listen", f"unix:{server.root / 'socket'}")
            with taskgrove.Client(other.target, token=(place / "token").read_text().strip()) as client:
                now = client.get_server_info().data_directory
                assert (now.path, now.id, now.copied_from) == (str(mounted.resolve()), about.id, "")
                client.continue_task(task.id, "Go on.")
                continued = tasks_work.rest(client, task.id)
                assert continued.state == Task.STATE_SUCCEEDED
                assert repositories.git(repository, "show", f"{task.worktree.branch}:work.txt") == "it\nit"
            other.terminate()
            other.data = other.root / "data"
        server.start()
        with server.client() as client:
            assert client.get_server_info().data_directory == about
            client.continue_task(task.id, "Go on.")
            assert tasks_work.rest(client, task.id).worktree.path == task.worktree.path


def test_a_place_that_does_not_answer_keeps_no_server_from_starting(
    server: RunningServer, client: taskgrove.Client, place: Path
) -> None:
    server.terminate()
    data_directories.copy_tree(server.data, place)
    original = server.data
    # To open a pipe that nobody writes to takes for ever, as with a file server that is gone.
    (original / "identity.json").unlink()
    data_directories.make_pipe(original / "identity.json")
    server.data = place
    server.start()
    with server.client() as again:
        assert again.get_server_info().data_directory.copied_from == str(original.resolve())
    assert server.terminate() == 0


@WAYS
def test_claude_goes_on_with_its_session(repository: Path, move: Move) -> None:
    key = "sk-test-moved"
    with ModelApi() as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": key, "IS_SANDBOX": "1"}
        flags = ("--claude", claude_cli.executable(), "--retry-pause", "0.1")
        with RunningServer(*flags, environment=environment) as server:
            with server.client() as client:
                defaults = taskgrove.run_config(agent="claude", permission_mode="bypassPermissions")
                task_list = client.create_task_list("A list", working_dir=str(repository), defaults=defaults)
                api.script(Step(say="The word is plover."), key=key)
                task = client.wait(client.enqueue(task_list.id, "Choose a word").id)
                assert task.state == Task.STATE_SUCCEEDED
            server.terminate()
            move(server, server.root / "moved")
            server.start()
            with server.client() as client:
                api.script(Step(say="It is still plover."), key=key)
                client.continue_task(task.id, "Which word?")
                continued = client.wait(task.id)
                first, second = client.list_runs(task.id)
        asked = [body for body in api.requests(key) if body.get("tools")][-1]
    assert (continued.state, continued.run_count) == (Task.STATE_SUCCEEDED, 2)
    assert second.session_id == first.session_id
    assert "The word is plover." in json.dumps(asked["messages"])


def test_claude_begins_a_new_session_where_its_home_was_not_restored(repository: Path) -> None:
    key = "sk-test-restored"
    with ModelApi() as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": key, "IS_SANDBOX": "1"}
        flags = ("--claude", claude_cli.executable(), "--retry-pause", "0.1")
        with RunningServer(*flags, environment=environment) as server:
            with server.client() as client:
                defaults = taskgrove.run_config(agent="claude", permission_mode="bypassPermissions")
                task_list = client.create_task_list("A list", working_dir=str(repository), defaults=defaults)
                api.script(Step(say="The word is plover."), key=key)
                task = client.wait(client.enqueue(task_list.id, "Choose a word").id)
            server.terminate()
            carry_over(server, server.root / "moved")
            shutil.rmtree(server.home)
            server.home.mkdir()
            server.start()
            with server.client() as client:
                api.script(Step(say="I do not know."), key=key)
                client.continue_task(task.id, "Which word?")
                continued = client.wait(task.id)
                runs = list(client.list_runs(task.id))
    assert continued.state == Task.STATE_SUCCEEDED
    assert [run.failure.kind for run in runs[1:-1]] == [FailureKind.FAILURE_KIND_SESSION_LOST]
    assert runs[-1].session_id != runs[0].session_id
    assert "Which word?" in runs[-1].prompt
