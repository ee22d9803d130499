"""The machine is short of something for a while: no task fails for it, and all goes on by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import taskgrove
import taskgrove_server
from support import disks, process_limits, repositories, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from taskgrove import Hold, Task

SLOTS = 2

#: More than there are slots.
TASKS = 5

#: Seconds: the pauses of holds come on top of all else.
PATIENCE = 90.0


def enqueue(client: taskgrove.Client, repository: Path | None, count: int = TASKS) -> list[str]:
    """Enqueues tasks that have something to commit."""
    task_list = tasks_work.make_list(client, "echo work > work.txt; echo done", repository)
    return [client.enqueue(task_list.id, f"Task {number}").id for number in range(count)]


def wait_for_hold(client: taskgrove.Client, attempts: int = 2) -> Hold:
    """Waits until something is held for which so many tries have failed."""

    def find() -> Hold | None:
        return next((hold for hold in client.get_server_info().holds if hold.attempts >= attempts), None)

    return tasks_gates.until(find, "a hold", patience=PATIENCE)


def check_all_done(client: taskgrove.Client, task_ids: list[str]) -> None:
    """Checks that tasks succeed, and that it has cost them nothing."""
    for task_id in task_ids:
        task = client.wait(task_id, reconnect_timeout=PATIENCE)
        assert (task.state, task.result) == (Task.STATE_SUCCEEDED, "done"), task.failure
        assert not any(run.is_retry for run in client.list_runs(task_id))
    tasks_gates.until(lambda: not client.get_server_info().holds, "the end of the hold")


@pytest.mark.parametrize("shortage", [disks.full, disks.without_files])
def test_the_disk_of_a_repository(
    shortage: Callable[[Path], contextlib.AbstractContextManager[None]], tmp_path: Path
) -> None:
    with (
        disks.mounted(tmp_path / "small", "16m", files=2000) as disk,
        RunningServer("--slots", str(SLOTS)) as server,
        server.client() as client,
    ):
        repository = repositories.make_repository(disk / "repository", files={"README.md": "hello\n"})
        with shortage(disk):
            task_ids = enqueue(client, repository)
            hold = wait_for_hold(client)
            assert (hold.kind, hold.subject) == (Hold.KIND_DISK, str(repository))
            assert hold.reason.startswith(f"The disk of {repository} has no room.")
            # Whoever has no business there does not wait.
            check = tasks_work.run(client, "echo elsewhere")
            assert check.result == "elsewhere"
        check_all_done(client, task_ids)


def test_the_disk_of_a_repository_that_no_list_has_any_more(tmp_path: Path) -> None:
    with (
        disks.mounted(tmp_path / "small", "16m") as disk,
        RunningServer("--slots", str(SLOTS)) as server,
        server.client() as client,
    ):
        repository = repositories.make_repository(disk / "repository", files={"README.md": "hello\n"})
        with disks.full(disk):
            (task_id,) = enqueue(client, repository, 1)
            wait_for_hold(client, 1)
            client.cancel(task_id)
            task = client.wait(task_id)
            assert task.state == Task.STATE_CANCELLED
        client.delete_task_list(task.task_list_id)
        assert not client.get_server_info().holds


def test_room_for_files_on_the_disk_of_the_data_directory() -> None:
    server = RunningServer("--slots", str(SLOTS), "--min-free-space", "1")
    with disks.mounted(server.data, "64m", files=3000) as disk, server, server.client() as client:
        first = enqueue(client, None)
        check_all_done(client, first)
        with disks.without_files(disk):
            waiting = enqueue(client, None)
            tasks_gates.until(lambda: client.get_server_info().space_short, "tasks wait for room")
            assert {client.get_task(task_id).state for task_id in waiting} == {Task.STATE_QUEUED}
        check_all_done(client, waiting)


@pytest.mark.parametrize("least", ["0", "1"])
def test_room_for_files_that_ends_in_the_middle(tmp_path: Path, least: str) -> None:
    """Whatever step it ends in, and whether or not somebody looks before a task is started."""
    server = RunningServer("--slots", str(SLOTS), "--min-free-space", least)
    with disks.mounted(server.data, "64m", files=1200) as disk, server, server.client() as client:
        repository = repositories.make_repository(tmp_path / "repository", files={"README.md": "hello\n"})
        task_ids = enqueue(client, repository, 1)
        check_all_done(client, task_ids)
        with tasks_gates.Gate(tmp_path / "gate") as gate:
            held_up = tasks_work.make_list(client, f"{gate.pass_through}; echo work > work.txt; echo done", repository)
            running = [client.enqueue(held_up.id, f"Runs {number}").id for number in range(SLOTS)]
            gate.wait_for_arrivals(SLOTS)
            with disks.without_files(disk):
                waiting = enqueue(client, repository)
                gate.open()
                tasks_gates.until(
                    lambda: client.get_server_info().space_short or client.get_server_info().holds, "a shortage is seen"
                )
            check_all_done(client, running + waiting)


def test_open_files(repository: Path) -> None:
    with RunningServer("--slots", str(SLOTS)) as server, server.client() as client:
        task_list = tasks_work.make_list(client, "echo work > work.txt; echo done", repository)
        client.wait(client.enqueue(task_list.id, "First").id)
        with process_limits.without_descriptors(server.pid):
            task_ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(TASKS)]
            tasks_gates.until(
                lambda: client.get_server_info().holds or "No task can be claimed" in server.log.read_text(),
                "the shortage is seen",
            )
        check_all_done(client, task_ids)


@pytest.mark.parametrize("restarts", [False, True])
def test_open_files_at_the_end_of_a_run(repository: Path, tmp_path: Path, restarts: bool) -> None:
    with RunningServer("--slots", str(SLOTS)) as server, server.client() as client:
        before = tasks_work.snapshot(repository)
        with tasks_gates.Gate(tmp_path / "gate") as gate:
            command = f"echo work > work.txt; {gate.pass_through}; echo done"
            task_list = tasks_work.make_list(client, command, repository)
            task_ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(SLOTS)]
            gate.wait_for_arrivals(SLOTS)
            with process_limits.without_descriptors(server.pid, spare=0):
                gate.open()
                tasks_gates.until(lambda: "A step waits to be done" in server.log.read_text(), "the end of a run waits")
                assert {client.get_task(task_id).state for task_id in task_ids} == {Task.STATE_RUNNING}
                if restarts:
                    server.kill()
                    server.start()
        check_all_done(client, task_ids)
        assert {client.get_task(task_id).run_count for task_id in task_ids} == {1}
        assert not any(run.repository_changes for task_id in task_ids for run in client.list_runs(task_id))
        assert tasks_work.snapshot(repository) == before


def test_what_a_filter_says_of_something_else_is_no_shortage(repository: Path) -> None:
    with RunningServer("--slots", "1") as server, server.client() as client:
        tasks_work.add_filter(repository, clean="echo 'Too many open files.md is not for me' >&2; false")
        task = tasks_work.run(client, "echo more >> a.filtered", repository)
        assert (task.state, task.failure.kind) == (Task.STATE_FAILED, taskgrove.FailureKind.FAILURE_KIND_COMMIT)


def test_processes(repository: Path) -> None:
    with RunningServer("--slots", str(SLOTS)) as server, server.client() as client:
        task_list = tasks_work.make_list(client, "echo work > work.txt; echo done", repository)
        sandboxes = tasks_work.make_list(client, "echo done")
        for task_list_id in (task_list.id, sandboxes.id):
            assert client.wait(client.enqueue(task_list_id, "First").id).state == Task.STATE_SUCCEEDED
        with process_limits.without_processes(server.pid):
            task_ids = [
                client.enqueue(task_list_id, f"Task {number}").id
                for number in range(TASKS)
                for task_list_id in (task_list.id, sandboxes.id)
            ]
            hold = wait_for_hold(client)
            assert hold.id == "machine"
        check_all_done(client, task_ids)


@pytest.mark.parametrize("filtered", ["smudge", "clean"])
def test_git_fails_once_and_nobody_knows_why(repository: Path, tmp_path: Path, filtered: str) -> None:
    """As on a disk that has room again before it is looked at: when a worktree is made, or when work is committed."""
    tasks_work.add_filter(repository)
    failed = tmp_path / "failed"
    failing = f"test -e {failed} || {{ touch {failed}; exit 1; }}; cat"
    tasks_work.set_filter(repository, **{filtered: failing})
    with RunningServer("--slots", str(SLOTS)) as server, server.client() as client:
        task = tasks_work.run(client, "cat a.filtered > b.filtered", repository)
        assert (task.state, task.run_count, task.failure.message) == (Task.STATE_SUCCEEDED, 1, "")
        assert failed.exists()
        assert client.get_worktree_status(task.id).ahead == 1


def test_git_away(tmp_path: Path, repository: Path) -> None:
    """As while it is replaced by another release."""
    programs = tmp_path / "bin"
    programs.mkdir()
    git = programs / "git"
    real = shutil.which("git")
    assert real is not None
    git.symlink_to(real)
    path = ":".join(
        entry
        for entry in (str(programs), *os.environ["PATH"].split(":"))
        if entry == str(programs) or not Path(entry, "git").exists()
    )
    for tool in ("sh", "env", "cat", "sleep", "echo"):
        if not any(Path(entry, tool).exists() for entry in path.split(":")):
            found = shutil.which(tool)
            assert found is not None
            (programs / tool).symlink_to(found)
    with RunningServer("--slots", str(SLOTS), environment={"PATH": path}) as server, server.client() as client:
        task_list = tasks_work.make_list(client, "echo work > work.txt; echo done", repository)
        aside = git.rename(git.with_name("aside"))
        task_ids = [client.enqueue(task_list.id, f"Task {number}").id for number in range(TASKS)]
        hold = wait_for_hold(client)
        assert (hold.id, hold.kind) == ("machine", Hold.KIND_MACHINE)
        aside.rename(git)
        check_all_done(client, task_ids)


@pytest.mark.parametrize(("part", "forks"), [("processes", False), (".", False), (".", True)])
def test_the_servers_own_files_away(tmp_path: Path, part: str, *, forks: bool) -> None:
    """As while it is upgraded under its own feet; what supervisors are forked from may live on, or not."""
    installed = Path(taskgrove_server.__file__).parent
    copied = tmp_path / "site" / "taskgrove_server"
    shutil.copytree(installed, copied, ignore=shutil.ignore_patterns("__pycache__"))
    moved = copied / part
    with (
        RunningServer("--slots", str(SLOTS), environment={"PYTHONPATH": str(copied.parent)}) as server,
        server.client() as client,
    ):
        check_all_done(client, enqueue(client, None, 1))
        aside = moved.resolve().rename(tmp_path / "aside")
        if not forks:
            # The next one has to be read from the disk, as a supervisor that is started directly.
            (fork_server,) = tasks_processes.fork_servers(server)
            os.kill(fork_server, signal.SIGKILL)
        task_ids = enqueue(client, None)
        wait_for_hold(client)
        aside.rename(moved.resolve())
        check_all_done(client, task_ids)
