"""How the worktrees of a list are made: base branch, prefix, copied files, setup command."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_processes, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task


def made(client: taskgrove.Client, path: Path, **settings: Any) -> Project:
    return Project(client, path / "project", taskgrove.worktree_settings(**settings))


def test_settings_are_stored_and_replaced_as_a_whole(client: taskgrove.Client, tmp_path: Path) -> None:
    settings = taskgrove.worktree_settings(
        base_branch="main",
        branch_prefix="agents/",
        copied_files=[".env", "config/**/*.local"],
        setup_command=["make", "deps"],
        setup_timeout=timedelta(minutes=3),
        landed_after=timedelta(days=1),
        rested_after=timedelta(days=30),
    )
    project = Project(client, tmp_path / "project", settings)
    assert client.get_task_list(project.task_list.id).worktree_settings == settings
    newer = taskgrove.worktree_settings(setup_command="make deps")
    assert client.update_task_list(project.task_list.id, worktree_settings=newer).worktree_settings == newer
    cleared = client.update_task_list(project.task_list.id, worktree_settings=taskgrove.WorktreeSettings())
    assert not cleared.HasField("worktree_settings")


def test_settings_that_cannot_be_are_refused(client: taskgrove.Client, tmp_path: Path) -> None:
    project = Project(client, tmp_path / "project")
    with pytest.raises(taskgrove.BranchNotFound):
        client.update_task_list(project.task_list.id, worktree_settings=taskgrove.worktree_settings(base_branch="no"))
    bare = client.create_task_list("Bare")
    settings = taskgrove.worktree_settings(copied_files=[".env"])
    with pytest.raises(taskgrove.InvalidRequest) as caught:
        client.update_task_list(bare.id, worktree_settings=settings)
    assert caught.value.metadata["field"] == "worktree_settings"
    with pytest.raises(taskgrove.InvalidRequest) as caught:
        client.create_task_list("Bare", worktree_settings=settings)
    assert caught.value.metadata["field"] == "worktree_settings"


def test_tasks_start_from_the_base_branch_with_the_lists_prefix(client: taskgrove.Client, tmp_path: Path) -> None:
    path = repositories.make_clone(tmp_path / "clone")
    repositories.git(path, "branch", "release")
    repositories.commit(path, {"newer": "newer"}, "Newer")
    for base in ("release", "origin/main"):
        settings = taskgrove.worktree_settings(base_branch=base, branch_prefix="agents/")
        task_list = client.create_task_list(base, working_dir=path, worktree_settings=settings)
        task = client.enqueue(task_list.id, "Do it", overrides=tasks_work.shell("echo x > x"))
        rested = tasks_work.rest(client, task.id)
        assert rested.worktree.base_commit == repositories.head(path, base)
        assert rested.worktree.branch == f"agents/{task.id}-do-it"
        # The target is the base branch, if that is one of the repository's own.
        target = client.get_worktree_status(task.id).target_branch
        assert target == ("release" if base == "release" else "main")
    repositories.git(path, "branch", "-D", "release")
    release = next(found for found in client.list_task_lists() if found.title == "release")
    failed = tasks_work.rest(client, client.enqueue(release.id, "Do it", overrides=tasks_work.shell("true")).id)
    assert failed.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    assert "'release'" in failed.failure.message


def test_untracked_files_are_copied_in_and_never_committed(client: taskgrove.Client, tmp_path: Path) -> None:
    project = made(client, tmp_path, copied_files=[".env", "conf/**/*.local", "node_modules", "README.md", "missing*"])
    secret = tmp_path / "outside"
    secret.write_text("outside")
    for name, text in {
        ".env": "TOKEN=1",
        "conf/a.local": "a",
        "conf/deep/b.local": "b",
        "node_modules/m/i.js": "m",
    }.items():
        file = project.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (project.path / ".env").chmod(0o600)
    (project.path / "conf/link.local").symlink_to(secret)
    project.commit(".gitignore", ".env\nnode_modules\n*.local\n")
    (project.path / "README.md").write_text("being edited")
    # An agent that has git ignore nothing any more.
    task = project.run("echo work > work; ls -a > listing; echo > .gitignore")
    worktree = Path(task.worktree.path)
    assert (worktree / ".env").read_text() == "TOKEN=1"
    assert (worktree / ".env").stat().st_mode & 0o777 == 0o600
    assert (worktree / "conf/deep/b.local").read_text() == "b"
    assert (worktree / "conf/link.local").is_symlink()
    # What git tracks comes from git.
    assert (worktree / "README.md").read_text() == "# A project\n"
    assert project.files(task.worktree.branch) == [".gitignore", "README.md", "listing", "src/main.py", "work"]
    assert client.get_worktree_status(task.id).uncommitted_files == 0
    assert sorted(file.path for file in client.list_changed_files(task.id)) == [".gitignore", "listing", "work"]


def test_no_link_leads_a_copy_out_of_the_worktree(client: taskgrove.Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.local").write_text("secret")
    project = made(client, tmp_path, copied_files=["in/*", "linked/*", "linked"])
    # Tracked, and so there in each worktree: a link that leads out.
    (project.path / "in").symlink_to(outside)
    project.git("add", "in")
    project.git("commit", "-qm", "Link")
    (project.path / "linked").symlink_to(outside)
    task = project.run("true")
    assert sorted(path.name for path in outside.iterdir()) == ["secret.local"]
    assert Path(task.worktree.path, "linked").is_symlink()


def test_a_setup_command_prepares_each_new_worktree(client: taskgrove.Client, tmp_path: Path) -> None:
    project = made(
        client,
        tmp_path,
        copied_files=[".env"],
        setup_command="cat .env; echo to stderr >&2; env > ../environment-$$; echo made > .ready",
    )
    (project.path / ".env").write_text("COPIED=1\n")
    project.commit(".gitignore", ".ready\n.env\n")
    task = project.run("cat .ready > seen")
    assert task.state == Task.STATE_SUCCEEDED
    assert client.read_setup_log(task.id) == b"COPIED=1\nto stderr\n"
    assert Path(task.worktree.setup_log_path).read_bytes() == b"COPIED=1\nto stderr\n"
    (environment,) = Path(task.worktree.path).parent.glob("environment-*")
    assert "TASKGROVE_DATA_DIR" not in environment.read_text()
    environment.unlink()
    # Not again while the worktree is there.
    client.continue_task(task.id, "Again")
    tasks_work.rest(client, task.id)
    assert list(Path(task.worktree.path).parent.glob("environment-*")) == []
    with pytest.raises(taskgrove.SetupLogNotFound):
        client.read_setup_log(tasks_work.run(client, "true").id)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo no such package; exit 3", "ended with code 3"),
        (["/nonexistent/program"], "could not be started"),
        ("echo waiting; sleep 60", "did not end within 1 seconds"),
    ],
)
def test_a_setup_that_fails_fails_the_task_and_leaves_no_worktree(
    client: taskgrove.Client, tmp_path: Path, command: str | list[str], words: str
) -> None:
    project = made(client, tmp_path, setup_command=command, setup_timeout=timedelta(seconds=1))
    task = project.run("true")
    assert (task.state, task.failure.kind) == (Task.STATE_FAILED, taskgrove.FailureKind.FAILURE_KIND_SETUP)
    assert words in task.failure.message
    if isinstance(command, str):
        assert command.split("echo ")[1].split(";")[0].encode() in client.read_setup_log(task.id)
    assert repositories.worktree_paths(project.path) == []
    assert repositories.branches(project.path) == ["main"]
    assert task.run_count == 0
    mended = taskgrove.worktree_settings(setup_command="true")
    client.update_task_list(project.task_list.id, worktree_settings=mended)
    client.retry_task(task.id)
    assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED


def test_a_cancel_ends_a_setup_with_all_that_it_started(client: taskgrove.Client, tmp_path: Path) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        pids = tmp_path / "pids"
        command = f"setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & echo $$ >> {pids}; {gate.pass_through}"
        project = made(client, tmp_path, setup_command=command)
        task = client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell("true"))
        gate.wait_for_arrivals()
        tasks_gates.until(lambda: pids.read_text().count("\n") == 2, "both processes")
        client.cancel(task.id)
        rested = tasks_work.rest(client, task.id)
    assert rested.state == Task.STATE_CANCELLED
    for pid in pids.read_text().split():
        assert not tasks_processes.is_alive(int(pid))
    assert repositories.worktree_paths(project.path) == []
    assert repositories.branches(project.path) == ["main"]


def test_a_setup_that_a_killed_server_leaves_is_done_again(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        project = made(client, tmp_path, setup_command=f"echo x > half; {gate.pass_through}; echo y > whole")
        task = client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell("ls > listing"))
        gate.wait_for_arrivals()
        server.kill()
        server.start()
        gate.wait_for_arrivals(2)
        gate.open()
        rested = tasks_work.rest(client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED
    assert project.files(rested.worktree.branch) == ["README.md", "half", "listing", "src/main.py", "whole"]
