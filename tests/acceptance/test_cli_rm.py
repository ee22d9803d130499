"""Many tasks are deleted with one command: those that came to rest before a time, in some state, or of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

import taskgrove
from support import tasks_age, tasks_gates, tasks_work
from support.cli_shell import Shell
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task

DAY = 86400


def rested(client: taskgrove.Client, count: int, command: str = "echo x") -> list[Task]:
    """Returns tasks at rest, of one new list."""
    task_list = tasks_work.make_list(client, command)
    queued = [client.enqueue(task_list.id, f"Task {number}") for number in range(count)]
    return [tasks_work.rest(client, task.id) for task in queued]


def left(client: taskgrove.Client) -> set[str]:
    return {task.id for task in client.list_tasks()}


@pytest.fixture
def tasks(served: Shell, client: taskgrove.Client) -> list[Task]:
    """Six tasks: the first three rested 40 days ago, of which the first failed; the others have just come to rest."""
    failed = rested(client, 1, "exit 1")
    succeeded = rested(client, 5)
    tasks = [*failed, *succeeded]
    tasks_age.age(served.place, *tasks[:3], by=40 * DAY)
    # One that has been asked for a task shows it as its own last change has left it.
    tasks_age.begin_anew(served.place)
    return tasks


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (("--before", "30d"), {0, 1, 2}),
        (("--before", "30d", "--state", "succeeded"), {1, 2}),
        (("--before", "30d", "--state", "failed", "--state", "cancelled"), {0}),
        (("--state", "failed"), {0}),
        (("--before", "41d"), set[int]()),
        (("--before", "2001-01-01"), set[int]()),
        (("--before", "2999-01-01T12:30"), {0, 1, 2, 3, 4, 5}),
    ],
)
def test_what_is_asked_for_goes_and_nothing_else(
    served: Shell, client: taskgrove.Client, tasks: list[Task], options: tuple[str, ...], gone: set[int]
) -> None:
    ended = served.run("rm", *options, "--discard-worktree", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert left(client) == {task.id for number, task in enumerate(tasks) if number not in gone}
    assert len(ended.stdout.splitlines()) == len(gone)
    said = f"{len(gone)} task{'' if len(gone) == 1 else 's'} deleted." if gone else "There are no such tasks at rest."
    assert said in ended.stderr.decode()


def test_those_of_a_list_go(served: Shell, client: taskgrove.Client, tasks: list[Task]) -> None:
    served.text("rm", "--list", tasks[0].task_list_id, "--discard-worktree", "--yes")
    assert left(client) == {task.id for task in tasks[1:]}


def test_a_dry_run_shows_what_would_go_and_how_much_that_frees(
    served: Shell, client: taskgrove.Client, tasks: list[Task]
) -> None:
    ended = served.run("rm", "--before", "30d", "--dry-run")
    assert ended.returncode == 0
    lines = ended.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == [task.id for task in tasks[:3]]
    assert all("(rested 40d 00h ago, " in line for line in lines)
    # The one that failed has written nothing.
    assert all("KiB)" in line for line in lines[1:])
    said = ended.stderr.decode()
    assert "3 tasks would be deleted, which frees " in said
    assert "3 of them may still have a worktree or a sandbox, and would be kept without --discard-worktree." in said
    assert left(client) == {task.id for task in tasks}
    assert served.text("rm", tasks[5].id, "--dry-run", "--discard-worktree").startswith(tasks[5].id)
    assert left(client) == {task.id for task in tasks}


def test_what_is_kept_is_counted_and_told_by_the_exit_code(
    served: Shell, client: taskgrove.Client, tmp_path: Path
) -> None:
    project = Project(client, tmp_path / "project")
    unsavable = project.run("git init -q --object-format=sha256 inner; echo x > inner/x")
    saved = project.run("echo x > x")
    none = project.run("true")
    client.discard_worktree(none.id)
    with_worktrees = served.run("rm", "--list", project.task_list.id, "--yes")
    assert with_worktrees.returncode == 5
    assert with_worktrees.stdout.decode() == f"Task {none.id} is deleted.\n"
    assert "1 task deleted, 2 kept." in with_worktrees.stderr.decode()
    discarding = served.run("rm", "--list", project.task_list.id, "--yes", "--discard-worktree")
    assert discarding.returncode == 5
    assert f"refs/taskgrove/saved/{saved.id}/1" in discarding.stdout.decode()
    assert "1 task deleted, 1 kept." in discarding.stderr.decode()
    assert left(client) == {unsavable.id}


def test_what_is_at_work_is_not_asked_for(served: Shell, client: taskgrove.Client, tmp_path: Path) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        task_list = tasks_work.make_list(client, gate.pass_through)
        running = client.enqueue(task_list.id, "Running")
        gate.wait_for_arrivals()
        ended = served.run("rm", "--list", task_list.id, "--yes")
        assert (ended.returncode, ended.stdout) == (0, b"")
        assert served.run("rm", running.id, "--yes").returncode == 5
        gate.open()
        assert tasks_work.rest(client, running.id).state == Task.STATE_SUCCEEDED


def test_a_person_is_asked_and_nobody_else_is_believed(
    served: Shell, client: taskgrove.Client, tasks: list[Task]
) -> None:
    assert served.run("rm", "--before", "30d").returncode == 2
    shown = served.at_terminal("rm", "--before", "30d", "--discard-worktree", typed=b"n\n")
    assert b"Delete 3 tasks for good?" in shown
    assert left(client) == {task.id for task in tasks}
    served.at_terminal("rm", "--before", "30d", "--discard-worktree", typed=b"y\n")
    assert left(client) == {task.id for task in tasks[3:]}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--yes",),
        ("k3v5m2qxw7ab", "--before", "30d"),
        ("k3v5m2qxw7ab", "--state", "failed"),
        ("--before", "yesterday"),
        ("--before", "30"),
        ("--before", "-3d"),
        ("--state", "running"),
        ("--state", "queued"),
    ],
)
def test_wrong_usage_changes_nothing(
    served: Shell, client: taskgrove.Client, tasks: list[Task], arguments: tuple[str, ...]
) -> None:
    assert served.run("rm", *arguments).returncode == 2
    assert left(client) == {task.id for task in tasks}


def test_pages_are_gone_through(served: Shell, client: taskgrove.Client) -> None:
    count = 1203
    (task,) = rested(client, 1, "true")
    with tasks_work.connected(served.place) as database:
        columns = [str(name) for (_, name, *_) in database.execute("PRAGMA table_info(task)") if name != "sequence"]
        values = [{"id": "?", "directory": "NULL"}.get(name, name) for name in columns]
        copy = f"INSERT INTO task ({', '.join(columns)}) SELECT {', '.join(values)} FROM task WHERE id = ?"
        letters = str.maketrans("0189", "wxyz")
        ids = [f"copy{number:08d}".translate(letters) for number in range(count - 1)]
        database.executemany(copy, [(one, task.id) for one in ids])
    assert len(served.text("rm", "--state", "succeeded", "--dry-run").splitlines()) == count
