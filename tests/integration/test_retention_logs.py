"""Logs of tasks that have rested for longer than `log_retention` are removed; the tasks stay, and can be continued."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import tasks_age, tasks_following, tasks_gates, tasks_work, troubles
from support.cli_shell import Shell
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Task

RETENTION = ("--log-retention", str(tasks_age.RETENTION))

TROUBLE = "housekeeping: log files"


def wait_for_the_end(server: RunningServer, client: taskgrove.Client, *tasks: Task) -> None:
    """Waits until the logs of tasks are removed, and their files with them."""

    def are_gone() -> bool:
        return all(run.log_removed for task in tasks for run in client.list_runs(task.id))

    tasks_gates.until(are_gone, "the end of the logs")
    tasks_gates.until(lambda: not tasks_age.obsolete(server), "the end of their files")


def watched(client: taskgrove.Client, task: Task, after_line: int = 0) -> list[taskgrove.WatchEvent]:
    with client.watch(task.id, after_line=after_line) as watch:
        return list(watch)


def without_log(run: Run) -> Run:
    """Returns a run as it is told of once its log is removed."""
    told = Run()
    told.CopyFrom(run)
    told.log_path, told.log_removed = "", True
    return told


def test_the_lines_go_and_all_else_stays(server: RunningServer, client: taskgrove.Client, tmp_path: Path) -> None:
    settings = taskgrove.worktree_settings(setup_command="echo set up")
    project = Project(client, tmp_path / "project", settings)
    old, young = (project.run("echo one; echo two; echo x > x") for _ in range(2))
    tasks_age.age(server, old)
    old = client.get_task(old.id)
    (run,) = client.list_runs(old.id)
    assert len(tasks_age.files(server, old)) == 3
    tasks_age.begin_anew(server, *RETENTION)
    wait_for_the_end(server, client, old)
    assert tasks_age.files(server, old) == [Path(old.worktree.path)]
    kept = client.get_task(old.id)
    assert not kept.worktree.setup_log_path
    kept.worktree.setup_log_path = old.worktree.setup_log_path
    assert kept == old
    assert list(client.list_runs(old.id)) == [without_log(run)]
    # Who asks for lines is told, and who watches comes to the end.
    for asked in ({}, {"after_line": old.last_line - 1}, {"last_lines": 1}):
        with pytest.raises(taskgrove.LogRemoved, match=f"up to line {old.last_line} were removed") as removed:
            list(client.read_lines(old.id, **asked))
        assert removed.value.metadata == {"task_id": old.id, "first_line": str(old.last_line + 1)}
    assert list(client.read_lines(old.id, after_line=old.last_line)) == []
    with pytest.raises(taskgrove.SetupLogNotFound, match="log_retention has removed it"):
        client.read_setup_log(old.id)
    for after_line in (0, 1, old.last_line):
        opened, rested = watched(client, old, after_line)
        assert isinstance(opened, taskgrove.Opened)
        assert (opened.first_line, opened.last_line) == (old.last_line + 1, old.last_line)
        assert isinstance(rested, taskgrove.Rested)
    # The young one has all that it had.
    assert client.get_task(young.id) == young
    assert len(list(client.read_lines(young.id))) == young.last_line
    assert client.read_setup_log(young.id) == b"set up\n"


def test_a_task_without_its_log_is_continued_and_its_lines_go_on(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    task = tasks_work.run(client, 'echo first; echo "$(cat)"')
    before = task.last_line
    tasks_age.age(server, task)
    tasks_age.begin_anew(server, *RETENTION)
    wait_for_the_end(server, client, task)
    client.continue_task(task.id, "go on with it")
    rested = tasks_work.rest(client, task.id)
    assert (rested.state, rested.run_count, rested.last_line) == (Task.STATE_SUCCEEDED, 2, 2 * before)
    assert [run.log_removed for run in client.list_runs(task.id)] == [True, False]
    for after_line in (0, 1, before):
        events = watched(client, task, after_line)
        assert tasks_following.numbers_are_dense(events, before + 1)
        assert tasks_following.lines(events)[-1].number == rested.last_line
    assert [line.number for line in client.read_lines(task.id, last_lines=1000)] == [*range(before + 1, 2 * before + 1)]
    with pytest.raises(taskgrove.LogRemoved):
        list(client.read_lines(task.id, after_line=before - 1))
    # The command shows what there is, and says what there is not.
    shell = Shell(server, tmp_path)
    shown = shell.run("log", task.id)
    assert shown.returncode == 0
    assert b"go on with it" in shown.stdout
    assert f"up to line {before} were removed" in shown.stderr.decode()
    following = shell.run("watch", task.id)
    assert f"lines up to line {before} were removed" in following.stdout.decode() + following.stderr.decode()
    # It rests anew, and its lines are kept for as long as those of others.
    tasks_age.begin_anew(server, *RETENTION)
    tasks_work.run(client, "true")
    assert len(list(client.read_lines(task.id, after_line=before))) == before
    tasks_age.age(server, rested)
    tasks_age.begin_anew(server, *RETENTION)
    wait_for_the_end(server, client, task)
    assert not [path for path in tasks_age.files(server, task) if path.is_file()]


def test_files_that_cannot_be_removed_are_told_of_and_tried_again(
    server: RunningServer, client: taskgrove.Client
) -> None:
    first, second = (tasks_work.run(client, "echo x") for _ in range(2))
    (log,) = (Path(run.log_path) for run in client.list_runs(first.id))
    # Neither root nor anybody else can remove a directory like a file.
    log.unlink()
    log.mkdir()
    tasks_age.age(server, first, second)
    tasks_age.begin_anew(server, *RETENTION)
    tasks_gates.until(lambda: tasks_age.obsolete(server) == [log.name], "all but one to be removed")
    tasks_age.begin_anew(server, *RETENTION)
    told = tasks_gates.until(lambda: troubles.told(client).get(TROUBLE), "the trouble")
    assert str(log) in told
    shutil.rmtree(log)
    tasks_age.begin_anew(server, *RETENTION)
    wait_for_the_end(server, client, first, second)
    tasks_gates.until(lambda: TROUBLE not in troubles.told(client), "the end of the trouble")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RunningServer]:
    environment = {"TASKGROVE_TEST_DEATH": str(tmp_path / "death"), "PYTHONPATH": str(Path(__file__).parents[1])}
    with RunningServer(module="support.mortal_server", environment=environment) as running:
        yield running


@pytest.mark.parametrize("step", ["os.remove _run1.ndjson'", "os.remove _run2.ndjson.index", "os.remove _setup.log"])
def test_a_server_that_is_killed_on_the_way_leaves_no_file_and_promises_no_line(
    mortal: RunningServer, tmp_path: Path, step: str
) -> None:
    with mortal.client() as client:
        task = tasks_work.run(client, "echo x")
        client.continue_task(task.id, "Again")
        task = tasks_work.rest(client, task.id)
        tasks_age.age(mortal, task)
        assert mortal.terminate() == 0
        death = tmp_path / "death"
        death.write_text(step)
        # It may die before it says that it is ready.
        with contextlib.suppress(AssertionError):
            mortal.start(*RETENTION)
        mortal.wait()
        death.unlink()
        # Even by a server that is told nothing of retention.
        mortal.start()
        with pytest.raises(taskgrove.LogRemoved):
            list(client.read_lines(task.id))
        wait_for_the_end(mortal, client, task)
        assert not [path for path in tasks_age.files(mortal, task) if path.is_file()]
        assert len(watched(client, task)) == 2


def test_who_reads_a_log_that_is_removed_reads_on(server: RunningServer, client: taskgrove.Client) -> None:
    lines = 200_000
    task = tasks_work.run(client, f"seq -f 'A line that is long enough to matter %.0f' {lines}")
    tasks_age.age(server, task)
    tasks_age.begin_anew(server)
    reading = client.read_lines(task.id)
    first = next(reading)
    with tasks_work.connected(server) as database:
        database.execute("UPDATE task SET removed_lines = last_line WHERE id = ?", (task.id,))
        database.execute("UPDATE run SET log_removed = 1 WHERE task_id = ?", (task.id,))
    for run in server.data.glob(f"logs/{task.id}_*"):
        run.unlink()
    assert [first.number, *(line.number for line in reading)] == [*range(1, task.last_line + 1)]
