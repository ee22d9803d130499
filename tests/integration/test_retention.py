"""Tasks that have rested for longer than `task_retention` are deleted, and nothing that is not landed is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import tasks_age, tasks_gates, tasks_work, troubles
from support.server import RunningServer
from support.tasks_following import Follower
from support.tasks_gates import Gate
from support.tasks_land import Project
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.task_pb2 import Task

RETENTION = ("--task-retention", str(tasks_age.RETENTION))

TROUBLE = "housekeeping: task retention"


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def test_by_default_tasks_are_kept_for_ever(server: RunningServer, client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "echo x")
    tasks_age.age(server, task, by=10 * 366 * 86400)
    tasks_age.begin_anew(server)
    tasks_work.run(client, "true")
    assert client.get_task(task.id).id == task.id


def test_an_old_task_goes_with_all_that_it_has_and_its_work_is_saved(server: RunningServer, project: Project) -> None:
    client = project.client
    work = "echo committed > one; git add one; git commit -qm One; echo more > two; exit 1"
    old, young = project.run(work), project.run(work)
    boxed = tasks_work.run(client, "mkdir -p a/b && echo x > a/b/c && echo x")
    tasks_age.age(server, old, boxed)
    tasks_age.age(server, young, by=tasks_age.RETENTION // 2)
    young = client.get_task(young.id)
    assert len(tasks_age.files(server, old)) == len(tasks_age.files(server, boxed)) == 2
    tasks_age.begin_anew(server, *RETENTION)
    tasks_age.wait_for_the_end(client, old, boxed)
    tasks_gates.until(lambda: not tasks_age.obsolete(server), "the end of the files")
    assert tasks_age.files(server, old) == tasks_age.files(server, boxed) == []
    (saved,) = project.refs(old.id)
    assert project.files(saved) == ["README.md", "one", "src/main.py", "two"]
    deleted = client.read_events(kinds=[Event.KIND_TASK_DELETED])
    assert {event.task_id for event in deleted} == {old.id, boxed.id}
    for task_id in (old.id, boxed.id):
        with pytest.raises(taskgrove.TaskNotFound):
            list(client.read_lines(task_id))
    # The young one, which has all that it had.
    assert client.get_task(young.id) == young
    assert Path(young.worktree.path, "two").read_text() == "more\n"
    assert [line.text for line in client.read_lines(young.id)]


def test_what_waits_or_runs_or_was_continued_stays(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        continued = tasks_work.run(client, "echo x")
        tasks_age.age(server, continued)
        client.continue_task(continued.id, "Again")
        tasks_work.rest(client, continued.id)
        task_list = tasks_work.make_list(client, f"echo up; {gate.pass_through}")
        with Follower(client, client.enqueue(task_list.id, "Running").id) as running:
            running.wait_for_text("up")
            old = tasks_work.run(client, "echo x")
            tasks_age.age(server, old)
            tasks_age.begin_anew(server, *RETENTION, "--slots", "1")
            waiting = client.enqueue(task_list.id, "Waiting")
            tasks_age.wait_for_the_end(client, old)
            gate.open()
            assert running.rested().state == Task.STATE_SUCCEEDED
            assert tasks_work.rest(client, waiting.id).state == Task.STATE_SUCCEEDED
        assert client.get_task(continued.id).run_count == 2


def test_what_cannot_be_saved_stays_is_told_of_and_is_in_nobodys_way(server: RunningServer, project: Project) -> None:
    client = project.client
    unsavable = project.run("git init -q --object-format=sha256 inner; echo x > inner/x")
    others = [project.run("echo x > x") for _ in range(2)]
    tasks_age.age(server, unsavable, by=2 * tasks_age.OLD)
    tasks_age.age(server, *others)
    unsavable = client.get_task(unsavable.id)
    tasks_age.begin_anew(server, *RETENTION)
    tasks_age.wait_for_the_end(client, *others)
    told = tasks_gates.until(lambda: troubles.told(client).get(TROUBLE), "the trouble")
    assert f"Due to be deleted, and kept: 1, such as task {unsavable.id}" in told
    assert f"Task {unsavable.id} is due to be deleted, and stays: " in server.log.read_text()
    assert client.get_task(unsavable.id) == unsavable
    assert Path(unsavable.worktree.path, "inner/x").read_text() == "x\n"
    # Once it can be saved, the next server does it.
    Path(unsavable.worktree.path, "inner").rename(project.path.parent / "inner")
    tasks_age.begin_anew(server, *RETENTION)
    tasks_age.wait_for_the_end(client, unsavable)
    tasks_gates.until(lambda: TROUBLE not in troubles.told(client), "the end of the trouble")


def test_work_whose_list_and_repository_are_gone_stays(server: RunningServer, project: Project) -> None:
    client = project.client
    task = project.run("echo x > x")
    project.path.rename(project.path.parent / "away")
    client.delete_task_list(project.task_list.id)
    tasks_age.age(server, task)
    tasks_age.begin_anew(server, *RETENTION)
    tasks_gates.until(lambda: TROUBLE in troubles.told(client), "the trouble")
    assert client.get_task(task.id).worktree.state == task.worktree.state
    assert Path(task.worktree.path, "x").read_text() == "x\n"


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RunningServer]:
    environment = {"TASKGROVE_TEST_DEATH": str(tmp_path / "death"), "PYTHONPATH": str(Path(__file__).parents[1])}
    with RunningServer(module="support.mortal_server", environment=environment) as running:
        yield running


@pytest.mark.parametrize(
    "step",
    [
        # With the worktree at its place, and its work saved.
        "os.rename /worktrees/ .removed",
        # With the worktree set aside, and files in it.
        "os.remove big",
        # With the task gone, and its logs there.
        "os.remove _run1.ndjson'",
        "os.remove _setup.log",
    ],
)
def test_a_server_that_is_killed_on_the_way_leaves_nothing_for_ever(
    mortal: RunningServer, tmp_path: Path, step: str
) -> None:
    with mortal.client() as client:
        settings = taskgrove.worktree_settings(setup_command="echo set up")
        project = Project(client, tmp_path / "project", settings)
        old = project.run("echo x > big; echo said")
        tasks_age.age(mortal, old)
        assert mortal.terminate() == 0
        death = tmp_path / "death"
        death.write_text(step)
        # It may die before it says that it is ready.
        with contextlib.suppress(AssertionError):
            mortal.start(*RETENTION)
        mortal.wait()
        death.unlink()
        mortal.start(*RETENTION)
        tasks_age.wait_for_the_end(client, old)
        tasks_gates.until(lambda: not tasks_age.obsolete(mortal) and not tasks_age.files(mortal, old), "the files' end")
        (saved,) = project.refs(old.id)
        assert "big" in project.files(saved)
        assert not troubles.told(client)


def test_a_clock_that_jumps_ahead_deletes_nothing(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    environment = {"TASKGROVE_TEST_CLOCK": str(clock), "PYTHONPATH": str(Path(__file__).parents[1])}
    with RunningServer(environment=environment, module="support.stepping_server") as server, server.client() as client:
        task = tasks_work.run(client, "echo x")
        clock.write_text(str(400 * 86400))
        tasks_age.begin_anew(server, *RETENTION, "--log-retention", "60")
        tasks_gates.until(lambda: "nothing is removed for its age" in server.log.read_text(), "the word of the jump")
        assert client.get_task(task.id) == task
        assert [line.text for line in client.read_lines(task.id)] == [line.text for line in client.read_lines(task.id)]
        assert tasks_age.files(server, task)
        # With the clock set right, all goes its way.
        clock.write_text("0")
        tasks_age.age(server, task)
        tasks_age.begin_anew(server, *RETENTION)
        tasks_age.wait_for_the_end(client, task)


def test_a_server_that_stops_does_not_delete_the_rest_first(server: RunningServer, client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "true")
    first = tasks_work.rest(client, client.enqueue(task_list.id, "First").id)
    with tasks_work.connected(server) as database:
        columns = [name for (_, name, *_) in database.execute("PRAGMA table_info(task)") if name != "sequence"]
        others = ", ".join("id || '-' || ?" if name == "id" else name for name in columns)
        copy = f"INSERT INTO task ({', '.join(columns)}) SELECT {others} FROM task WHERE id = ?"
        database.executemany(copy, [(number, first.id) for number in range(20_000)])
        database.execute("UPDATE task SET finish_time = finish_time - ?", (tasks_age.OLD * 10**6,))
    tasks_age.begin_anew(server, *RETENTION)
    tasks_gates.until(lambda: "was deleted, which had rested" in server.log.read_text(), "the first deletion")
    assert server.terminate() == 0
    with tasks_work.connected(server) as database:
        assert database.execute("SELECT COUNT(*) FROM task").fetchone()[0] > 0
