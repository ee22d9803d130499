"""The way from a task's worktree to its repository is lost, and with it nothing of the work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import taskgrove
from support import registrations, repositories, tasks_land, tasks_work
from support.server import RunningServer
from support.tasks_gates import Gate
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task

#: As people, agents, containers and disks do it; the rest is in tests/integration/test_worktrees_registration.py.
DAMAGES = (
    "moved away, pruned, moved back",
    "moved away, unlocked, pruned, moved back",
    "without its .git",
    "without its .git, unlocked and pruned",
    "a .git with garbage",
    "without its registration",
    "registered elsewhere",
    "a HEAD with garbage",
    "an empty index",
)


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def damaged(project: Project, damage: str) -> Task:
    """Returns a task with something committed and something not, whose worktree has then come to harm."""
    task = project.run("test -e first && echo second > second || echo first > first")
    assert task.state == Task.STATE_SUCCEEDED
    Path(task.worktree.path, "unfinished").write_text("unfinished\n")
    registrations.DAMAGES[damage](Path(task.worktree.path))
    return task


def saved_files(project: Project, ref: str) -> list[str]:
    return [name for name in project.files(ref) if name not in repositories.FILES]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_registration_that_is_lost_takes_no_work_with_it(project: Project, damage: str) -> None:
    client = project.client
    task = damaged(project, damage)
    assert [part.file.path for part in client.diff_worktree(task.id).files] == ["first", "unfinished"]
    status = client.get_worktree_status(task.id)
    assert (status.present, status.uncommitted_files, status.landed) == (True, 1, False)
    assert [commit.id for commit in client.list_commits(task.id)] == [task.worktree.head_commit]
    with pytest.raises(taskgrove.WorktreeDirty):
        client.land(task.id)
    removal = client.discard_worktree(task.id).removal
    assert (removal.path, removal.uncommitted_files) == (task.worktree.path, 1)
    assert saved_files(project, removal.saved_ref) == ["first", "unfinished"]
    assert not Path(task.worktree.path).exists()
    assert repositories.worktree_paths(project.path) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_discard_that_is_the_first_to_see_it_saves_everything(project: Project, damage: str) -> None:
    task = damaged(project, damage)
    removal = project.client.discard_worktree(task.id).removal
    assert saved_files(project, removal.saved_ref) == ["first", "unfinished"]
    assert not Path(task.worktree.path).exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_task_is_continued_in_a_worktree_that_lost_its_registration(project: Project, damage: str) -> None:
    client = project.client
    task = damaged(project, damage)
    client.continue_task(task.id, "Go on.")
    again = tasks_work.rest(client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert saved_files(project, again.worktree.head_commit) == ["first", "second", "unfinished"]
    client.land(task.id)
    assert Path(project.path, "unfinished").read_text() == "unfinished\n"


def test_a_retry_puts_what_was_there_away_first(project: Project) -> None:
    task = damaged(project, "without its .git, unlocked and pruned")
    project.client.retry_task(task.id)
    again = tasks_work.rest(project.client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert saved_files(project, again.worktree.saved_ref) == ["first", "unfinished"]
    assert saved_files(project, again.worktree.head_commit) == ["first"]


@pytest.mark.parametrize("how", ["", "; git init -q -b main; git add -A; git commit -qm Mine; echo more > more"])
def test_an_agent_that_removes_its_git_has_worked_all_the_same(project: Project, how: str) -> None:
    task = project.run(f"rm .git; echo work > work{how}")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    new = ["more", "work"] if how else ["work"]
    assert saved_files(project, task.worktree.head_commit) == new
    assert project.git("rev-parse", f"{task.worktree.head_commit}^") == task.worktree.base_commit
    refs = project.refs(task.id)
    assert len(refs) == (2 if how else 0)
    if how:
        assert refs[0] == f"refs/taskgrove/saved/{task.id}/1/heads/main"
        assert project.git("log", "-1", "--format=%s", refs[0]) == "Mine"
    project.client.land(task.id)
    assert Path(project.path, "work").exists()
    assert project.client.discard_worktree(task.id).removal.path == task.worktree.path


def test_a_cancelled_agent_that_made_a_repository_of_its_own_loses_nothing(
    project: Project, client: taskgrove.Client, tmp_path: Path
) -> None:
    with Gate(tmp_path / "gate") as gate:
        command = (
            f"rm .git; git init -q -b main; echo work > work; git add -A; git commit -qm Mine; {gate.pass_through}"
        )
        overrides = tasks_work.shell(tasks_land.IDENTITY + command)
        task = client.enqueue(project.task_list.id, "Do it", overrides=overrides)
        gate.wait_for_arrivals()
        # While the agent works, nobody repairs anything.
        assert not client.get_worktree_status(task.id).present
        assert Path(client.get_task(task.id).worktree.path, ".git").is_dir()
        client.cancel(task.id)
        task = tasks_work.rest(client, task.id)
    assert task.state == Task.STATE_CANCELLED
    assert [part.file.path for part in client.diff_worktree(task.id).files] == ["work"]
    removal = client.discard_worktree(task.id).removal
    assert saved_files(project, removal.saved_ref) == ["work"]
    assert len(project.refs(task.id)) == 3


def test_what_stands_in_the_place_of_a_worktree_is_neither_shown_nor_removed(
    project: Project, client: taskgrove.Client
) -> None:
    task = project.run("echo work > work")
    path = Path(task.worktree.path)
    shutil.rmtree(path)
    repositories.make_repository(path, {"precious": "precious\n"})
    for call in (client.get_worktree_status, client.discard_worktree, client.land, client.diff_worktree):
        with pytest.raises(taskgrove.RepositoryFailed, match="is there, but is no worktree of"):
            call(task.id)
    client.retry_task(task.id)
    again = tasks_work.rest(client, task.id)
    assert again.state == Task.STATE_FAILED
    assert "save what is in it, move it away" in again.failure.message
    assert Path(path, "precious").exists()
    # As it says.
    path.rename(path.with_name("moved away"))
    assert client.discard_worktree(task.id).removal.branch == task.worktree.branch
    assert project.git("log", "-1", "--format=%s", f"refs/taskgrove/saved/{task.id}/1") == "Do it"


def test_the_directory_that_is_away_while_a_task_is_discarded_leaves_no_registration(project: Project) -> None:
    task = project.run("echo work > work")
    Path(task.worktree.path).rename(f"{task.worktree.path} away")
    removal = project.client.discard_worktree(task.id).removal
    assert removal.path == ""
    assert saved_files(project, removal.saved_ref) == ["work"]
    assert repositories.worktree_paths(project.path) == []


def test_a_worktree_of_an_earlier_server_is_kept_from_a_prune_once_it_was_looked_at(
    server: RunningServer, project: Project
) -> None:
    task = project.run("echo work > work")
    project.git("worktree", "unlock", task.worktree.path)
    tasks_work.execute(server, "UPDATE worktree SET common_dir = NULL")
    project.client.get_worktree_status(task.id)
    assert "locked" in project.git("worktree", "list", "--porcelain")
