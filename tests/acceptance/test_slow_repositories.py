"""Repositories in which git does not answer keep nobody waiting but those who ask about them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_slow, tasks_work
from support.api_calls import Api, read, request
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task

#: Seconds in which a question about a repository is given up here, where it is not held up by a test.
BRIEF = 2

#: How many ask at once: as many as there were threads for reads, and more than there may be questions.
CROWDS = [4, 70]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as made:
        yield made


@contextmanager
def slow_git(tmp_path: Path, gate: Gate, *flags: str) -> Generator[RunningServer]:
    """Runs a server whose git waits at a gate wherever it is asked about a repository called "slow"."""
    says = f'case "$*" in */slow\\ *) {gate.pass_through};; esac'
    git = tasks_slow.program(tmp_path / "bin/git", f'{says}\nexec {shutil.which("git")} "$@"')
    environment = {"PATH": f"{git.parent}:{os.environ['PATH']}"}
    with RunningServer(*flags, environment=environment) as server:
        yield server


def use(client: taskgrove.Client, task_list: taskgrove.TaskList) -> None:
    """Does what has nothing to do with a repository that is slow."""
    task = client.enqueue(task_list.id, "Do it")
    assert client.get_task(task.id).id == task.id
    assert task.id in {found.id for found in client.list_tasks(task_list_id=task_list.id)}
    client.cancel(task.id)
    assert client.wait(task.id).state in (Task.STATE_CANCELLED, Task.STATE_SUCCEEDED)
    assert client.get_server_info().slots
    assert list(client.list_task_lists())


#: What asks about the repository, given its list and its path.
ASKING: dict[str, Callable[[str, Path], Any]] = {
    "CreateTaskList": lambda _, path: request("CreateTaskList", title="Slow", working_dir=str(path)),
    "UpdateTaskList": lambda task_list_id, _: request(
        "UpdateTaskList", task_list_id=task_list_id, worktree_settings=taskgrove.worktree_settings(base_branch="main")
    ),
    "Enqueue": lambda task_list_id, _: request("Enqueue", task_list_id=task_list_id, title="x", subdirectory="src"),
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("method", ASKING)
def test_a_crowd_that_asks_about_a_slow_repository_holds_up_nobody_else(
    tmp_path: Path, gate: Gate, method: str, crowd: int
) -> None:
    path = repositories.make_repository(tmp_path / "slow")
    with slow_git(tmp_path, gate) as server, server.client() as client, ThreadPoolExecutor(crowd) as pool:
        quick = tasks_work.make_list(client, "true")
        # While the gate would be in the way, it is not slow yet.
        with moved(path, tmp_path / "quick"):
            slow = client.create_task_list("Slow", working_dir=tmp_path / "quick")
        tasks_work.execute(server, "UPDATE task_list SET working_dir = ? WHERE id = ?", str(path), slow.id)
        message = ASKING[method](slow.id, path)
        calls = [pool.submit(ask, server, message) for _ in range(crowd)]
        gate.wait_for_arrivals(min(crowd, 64))
        use(client, quick)
        tasks_gates.until(lambda: sum(call.done() for call in calls) == max(0, crowd - 64), "the refusals")
        assert {call.result() for call in calls if call.done()} <= {"TOO_MANY_CALLS"}
        gate.open()
        answers = [call.result(tasks_gates.PATIENCE) for call in calls]
    assert answers.count("OK") == min(crowd, 64)


@contextmanager
def moved(path: Path, elsewhere: Path) -> Generator[None]:
    path.rename(elsewhere)
    yield
    elsewhere.rename(path)


def ask(server: RunningServer, message: Any) -> str | None:
    """Makes a call, and returns why it is refused, or "OK"."""
    with Api(server.target) as api:
        try:
            api.call(message)
        except grpc.RpcError as error:
            refusal = read(error)
            return refusal.reason or refusal.code.name
        return "OK"


@pytest.mark.parametrize("method", ASKING)
def test_a_repository_that_does_not_answer_is_given_up_in_time(tmp_path: Path, method: str) -> None:
    path = repositories.make_repository(tmp_path / "piped")
    with RunningServer("--git-timeout", str(BRIEF)) as server, server.client() as client:
        task_list = client.create_task_list("Piped", working_dir=path)
        with tasks_slow.Stalled(path), Api(server.target) as api:
            refusal = api.refusal(ASKING[method](task_list.id, path))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GIT_FAILED")
            assert str(path) in refusal.message
            tasks_gates.until(lambda: not git_at_work(path), "the end of git")
        assert ask(server, ASKING[method](task_list.id, path)) == "OK"


@pytest.mark.parametrize("method", ASKING)
def test_git_ends_with_the_caller_who_asked(tmp_path: Path, method: str) -> None:
    path = repositories.make_repository(tmp_path / "piped")
    with RunningServer() as server, server.client() as client:
        task_list = client.create_task_list("Piped", working_dir=path)
        with tasks_slow.Stalled(path), Api(server.target) as api:
            calling = api.begin(ASKING[method](task_list.id, path))
            tasks_gates.until(lambda: git_at_work(path), "git at work")
            calling.cancel()
            tasks_gates.until(lambda: not git_at_work(path), "the end of git", patience=15)


def test_a_git_that_heeds_no_signal_is_killed_when_its_caller_leaves(tmp_path: Path) -> None:
    path = repositories.make_repository(tmp_path / "slow")
    says = 'case "$*" in */slow\\ *) trap "" TERM INT; while true; do sleep 0.05; done;; esac'
    git = tasks_slow.program(tmp_path / "bin/git", f'{says}\nexec {shutil.which("git")} "$@"')
    with (
        RunningServer(environment={"PATH": f"{git.parent}:{os.environ['PATH']}"}) as server,
        Api(server.target) as api,
    ):
        calling = api.begin(request("CreateTaskList", title="Slow", working_dir=str(path)))
        tasks_gates.until(lambda: git_at_work(path), "git at work")
        calling.cancel()
        tasks_gates.until(lambda: not git_at_work(path), "the end of git", patience=15)


def test_a_server_that_waits_for_slow_repositories_ends_when_it_is_told_to(tmp_path: Path) -> None:
    path = repositories.make_repository(tmp_path / "piped")
    with tasks_slow.Stalled(path), RunningServer() as server, Api(server.target) as api:
        calls = [api.begin(request("CreateTaskList", title="Slow", working_dir=str(path))) for _ in range(8)]
        tasks_gates.until(lambda: len(git_at_work(path)) == 8, "git at work")
        assert server.terminate() == 0
        assert {call.code() for call in calls} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert git_at_work(path) == []


@pytest.mark.parametrize("crowd", CROWDS)
def test_those_who_ask_about_slow_repositories_and_about_slow_worktrees_do_not_wait_for_each_other(
    tmp_path: Path, gate: Gate, crowd: int
) -> None:
    path = repositories.make_repository(tmp_path / "slow")
    with slow_git(tmp_path, gate) as server, server.client() as client, ThreadPoolExecutor(crowd) as pool:
        project = Project(client, tmp_path / "project")
        task = project.run("echo x > x")
        message = request("CreateTaskList", title="Slow", working_dir=str(path))
        calls = [pool.submit(ask, server, message) for _ in range(crowd)]
        gate.wait_for_arrivals(min(crowd, 64))
        assert client.get_worktree_status(task.id).present
        assert client.check_land(task.id).can_land
        assert client.land(task.id).worktree.landing.target_branch == "main"
        tasks_gates.until(lambda: sum(call.done() for call in calls) == max(0, crowd - 64), "the refusals")
        gate.open()
        done(calls)


def done(calls: list[Future[str | None]]) -> None:
    for call in calls:
        call.result(tasks_gates.PATIENCE)


def git_at_work(path: Path) -> list[int]:
    """Returns the git processes that were asked about a repository."""
    found = subprocess.run(["pgrep", "-f", f"git -C {path} "], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


def test_lists_are_found_and_agents_allowed_while_threads_come_and_go(tmp_path: Path) -> None:
    """Each question has a thread, which ends with it."""
    with RunningServer("--allowed-roots", str(tmp_path)) as server, server.client() as client:
        path = repositories.make_repository(tmp_path / "repository")
        made = client.create_task_list("List", working_dir=path)
        for _ in range(100):
            assert [found.id for found in client.list_task_lists(working_dir=path)] == [made.id]
        threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
        assert threads < 64
