"""A branch of the repository stands in the way of the tasks' branches."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_work
from support.cli_shell import Shell
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task


@pytest.mark.parametrize(
    ("branches", "prefix", "works"),
    [
        (["taskgrove"], "", "taskgrove-"),
        (["taskgrove"], "taskgrove/", "taskgrove-"),
        (["taskgrove", "taskgrove-"], "", "taskgrove-"),
        (["a"], "a/b/", "a-b/"),
        (["a/b"], "a/b/", "a/b-"),
        (["a", "a-b"], "a/b/", "a-b-"),
        (["a"], "a/b-", "a-b-"),
    ],
)
def test_a_prefix_that_cannot_be_is_refused(
    client: taskgrove.Client, repository: Path, branches: list[str], prefix: str, works: str
) -> None:
    fine = client.create_task_list("Fine", working_dir=repository)
    for branch in branches:
        repositories.git(repository, "branch", branch)
    settings = taskgrove.worktree_settings(branch_prefix=prefix)
    with pytest.raises(taskgrove.BranchPrefixTaken) as refused:
        client.create_task_list("Clash", working_dir=repository, worktree_settings=settings)
    assert refused.value.metadata == {"branch": branches[-1 if works == "a-b/" else 0], "branch_prefix": works}
    with pytest.raises(taskgrove.BranchPrefixTaken, match=f"such as '{works}'"):
        client.update_task_list(fine.id, worktree_settings=settings)
    settings = taskgrove.worktree_settings(branch_prefix=works)
    task_list = client.create_task_list("Works", working_dir=repository, worktree_settings=settings)
    client.update_task_list(fine.id, worktree_settings=settings)
    task = client.enqueue(task_list.id, "Do it", overrides=tasks_work.shell("echo x > x"))
    rested = tasks_work.rest(client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED, rested.failure
    assert rested.worktree.branch.startswith(works)


@pytest.mark.parametrize("prefix", ["taskgrove-", "taskgrove", "taskgroves/", "other/taskgrove/"])
def test_other_prefixes_are_taken(client: taskgrove.Client, repository: Path, prefix: str) -> None:
    repositories.git(repository, "branch", "taskgrove")
    settings = taskgrove.worktree_settings(branch_prefix=prefix)
    task_list = client.create_task_list("Fine", working_dir=repository, worktree_settings=settings)
    task = client.enqueue(task_list.id, "Do it", overrides=tasks_work.shell("true"))
    assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED


def test_packed_branches_stand_in_the_way_too(client: taskgrove.Client, repository: Path) -> None:
    repositories.git(repository, "branch", "taskgrove")
    repositories.git(repository, "pack-refs", "--all")
    with pytest.raises(taskgrove.BranchPrefixTaken):
        client.create_task_list("Clash", working_dir=repository)


def test_names_that_a_file_system_takes_for_the_same_clash(client: taskgrove.Client, repository: Path) -> None:
    repositories.git(repository, "branch", "TaskGrove")
    client.create_task_list("Fine", working_dir=repository)
    repositories.git(repository, "config", "core.ignoreCase", "true")
    with pytest.raises(taskgrove.BranchPrefixTaken) as refused:
        client.create_task_list("Clash", working_dir=repository)
    assert refused.value.metadata == {"branch": "TaskGrove", "branch_prefix": "taskgrove-"}


def test_the_servers_own_prefix_counts(repository: Path) -> None:
    repositories.git(repository, "branch", "taskgrove")
    with RunningServer("--branch-prefix", "main/agents/") as server, server.client() as client:
        with pytest.raises(taskgrove.BranchPrefixTaken) as refused:
            client.create_task_list("Clash", working_dir=repository)
        assert refused.value.metadata == {"branch": "main", "branch_prefix": "main-agents/"}
        client.create_task_list("No repository")


def test_a_branch_that_comes_later_fails_the_task_in_these_words(client: taskgrove.Client, tmp_path: Path) -> None:
    project = Project(client, tmp_path / "project")
    project.git("branch", "taskgrove")
    task = project.run("true")
    assert task.state == Task.STATE_FAILED
    assert "has a branch 'taskgrove'" in task.failure.message
    assert "such as 'taskgrove-'" in task.failure.message
    assert "lock" not in task.failure.message
    client.update_task_list(
        project.task_list.id, worktree_settings=taskgrove.worktree_settings(branch_prefix="taskgrove-")
    )
    client.retry_task(task.id)
    assert tasks_work.rest(client, task.id).state == Task.STATE_SUCCEEDED


@pytest.mark.parametrize("command", ["run", "enqueue"])
def test_the_command_line_leads_out(server: RunningServer, tmp_path: Path, command: str) -> None:
    repository = repositories.make_repository(tmp_path / "it's a project")
    repositories.git(repository, "branch", "taskgrove")
    shell = Shell(server, repository)
    refused = shell.run(command, "Do it", "--", "true")
    assert refused.returncode == 5
    program, *advice = shlex.split(refused.stderr.decode().splitlines()[-1])
    assert program == "taskgrove"
    shell.text(*advice)
    task_id = shell.text("enqueue", "Do it", "--", "true").strip()
    assert shell.run("watch", task_id).returncode == 0


def test_the_command_line_shows_what_happened_to_the_repository(server: RunningServer, repository: Path) -> None:
    (repository / "README.md").write_text("mine\n")
    repositories.git(repository, "stash", "push", "--message", "mine")
    shell = Shell(server, repository)
    told = "The stash entry 'On main: mine' was gone after the run, and was put back."
    ran = shell.run("run", "Do it", "--", "git", "stash", "drop")
    assert told in ran.stdout.decode()
    task_id = shell.text("ls", "--json").split('"id": "')[1].split('"')[0]
    assert shell.text("show", task_id).count(told) == 1
    (line,) = [line for line in shell.text("events", "--no-follow").splitlines() if "repository_changed" in line]
    assert f"run 1: {told}" in line
