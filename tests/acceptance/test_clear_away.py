"""Worktrees are discarded and pruned, tasks are retried and deleted, and no unlanded work is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_feed, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task, Worktree


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def test_a_discard_saves_what_is_not_landed(project: Project) -> None:
    task = project.run("echo committed > one; git add one; git commit -qm One; echo more > two; exit 1")
    worktree = task.worktree
    dry = project.client.discard_worktree(task.id, dry_run=True).removal
    assert (dry.path, dry.branch, dry.unlanded_commits, dry.uncommitted_files) == (worktree.path, worktree.branch, 1, 1)
    assert not dry.saved_ref
    assert Path(worktree.path).is_dir()
    discarded = project.client.discard_worktree(task.id)
    removal = discarded.removal
    assert (removal.path, removal.branch, removal.saved_ref) == (
        worktree.path,
        worktree.branch,
        f"refs/taskgrove/saved/{task.id}/1",
    )
    assert discarded.task.worktree.state == Worktree.STATE_DISCARDED
    assert discarded.task.worktree.saved_ref == removal.saved_ref
    assert not Path(worktree.path).exists()
    assert repositories.branches(project.path) == ["main"]
    assert repositories.worktree_paths(project.path) == []
    assert project.git("rev-parse", removal.saved_ref) == removal.saved_commit
    assert project.files(removal.saved_ref) == ["README.md", "one", "src/main.py", "two"]
    # Once more changes nothing.
    again = project.client.discard_worktree(task.id)
    assert again.removal.path == again.removal.saved_ref == ""
    assert again.task.worktree.saved_ref == removal.saved_ref
    assert project.refs(task.id) == [removal.saved_ref]
    # A continue goes on from all of it.
    project.client.continue_task(task.id, "Go on")
    rested = tasks_work.rest(project.client, task.id)
    assert rested.worktree.state == Worktree.STATE_PRESENT
    assert {"one", "two"} <= {path.name for path in Path(rested.worktree.path).iterdir()}
    assert repositories.branches(project.path) == ["main", worktree.branch]


@pytest.mark.parametrize("strategy", taskgrove.LandStrategy.values()[1:])
def test_what_was_landed_is_discarded_and_can_still_be_continued(
    project: Project, strategy: taskgrove.LandStrategy
) -> None:
    task = project.run("date +%N >> log")
    project.client.land(task.id, strategy=strategy)
    removal = project.client.discard_worktree(task.id).removal
    assert (removal.unlanded_commits, removal.uncommitted_files) == (0, 0)
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    project.client.continue_task(task.id, "Again")
    rested = tasks_work.rest(project.client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED
    assert len(Path(rested.worktree.path, "log").read_text().splitlines()) == 2


def test_a_task_that_did_nothing_leaves_nothing(project: Project) -> None:
    task = project.run("true")
    removal = project.client.discard_worktree(task.id).removal
    assert (removal.saved_ref, removal.branch) == ("", task.worktree.branch)
    assert project.refs(task.id) == []


def test_a_branch_that_somebody_has_checked_out_stays(project: Project) -> None:
    task = project.run("echo x > x")
    project.git("checkout", "-q", "--ignore-other-worktrees", task.worktree.branch)
    removal = project.client.discard_worktree(task.id).removal
    assert removal.branch == ""
    assert task.worktree.branch in repositories.branches(project.path)


def test_an_agent_that_left_its_branch_loses_neither_line_of_work(project: Project) -> None:
    task = project.run(
        "echo a > a; git add .; git commit -qm A; git checkout -q --detach main; "
        "echo b > b; git add .; git commit -qm B"
    )
    project.client.discard_worktree(task.id)
    kept = {name for ref in project.refs(task.id) for name in project.files(ref)}
    assert {"a", "b"} <= kept


def test_directories_are_pruned_by_the_policy_and_come_back(client: taskgrove.Client, tmp_path: Path) -> None:
    project = Project(
        client, tmp_path / "project", taskgrove.worktree_settings(landed_after=timedelta(0), copied_files=[".env"])
    )
    (project.path / ".env").write_text("SECRET=1")
    unlanded, landed = project.run("echo 1 > one"), project.run("echo 2 > two; echo $PWD > /dev/null")
    client.land(landed.id)
    dry = client.prune_worktrees(dry_run=True)
    assert [removal.task_id for removal in dry.removals] == [landed.id]
    pruned = client.prune_worktrees()
    (removal,) = pruned.removals
    assert (removal.task_id, removal.branch) == (landed.id, landed.worktree.branch)
    assert not Path(landed.worktree.path).exists()
    assert client.get_task(landed.id).worktree.state == Worktree.STATE_PRUNED
    assert Path(unlanded.worktree.path).is_dir()
    assert client.prune_worktrees().removals == []
    # Whatever the policy says.
    pruned = client.prune_worktrees(rested_for=timedelta(0))
    assert [(removal.task_id, removal.branch) for removal in pruned.removals] == [(unlanded.id, "")]
    assert unlanded.worktree.branch in repositories.branches(project.path)
    for task in (unlanded, landed):
        client.continue_task(task.id, "Again")
        rested = tasks_work.rest(client, task.id)
        assert rested.worktree.state == Worktree.STATE_PRESENT
        assert Path(rested.worktree.path, ".env").read_text() == "SECRET=1"


def test_the_server_prunes_by_itself_what_is_due_when_it_starts(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    project = Project(client, tmp_path / "project", taskgrove.worktree_settings(rested_after=timedelta(0)))
    task = project.run("echo work > work; exit 1")
    server.terminate()
    server.start()
    tasks_gates.until(lambda: not Path(task.worktree.path).exists(), "the pruning of the worktree")
    pruned = tasks_gates.until(
        lambda: [w for w in [client.get_task(task.id).worktree] if w.state == Worktree.STATE_PRUNED], "its record"
    )[0]
    assert project.files(pruned.saved_ref) == ["README.md", "src/main.py", "work"]
    # What was not committed is in its files again.
    client.continue_task(task.id, "Again")
    rested = tasks_work.rest(client, task.id)
    assert Path(rested.worktree.path, "work").read_text() == "work\n"


def test_a_retry_begins_anew_and_keeps_what_was_done(project: Project) -> None:
    task = project.run("pwd > where; date +%N >> log; echo uncommitted")
    project.commit("newer", "newer")
    queued = project.client.retry_task(task.id, request_id="retry-1")
    assert queued.state == Task.STATE_QUEUED
    rested = tasks_work.rest(project.client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED
    assert rested.worktree.base_commit == project.git("rev-parse", "main") != task.worktree.base_commit
    assert (rested.worktree.path, rested.worktree.branch) == (task.worktree.path, task.worktree.branch)
    assert Path(rested.worktree.path, "log").read_text().count("\n") == 1
    assert (Path(rested.worktree.path) / "newer").exists()
    assert project.git("rev-parse", rested.worktree.saved_ref) == task.worktree.head_commit
    first, second = project.client.list_runs(task.id)
    assert (second.number, second.first_line) == (2, first.first_line + first.line_count)
    assert second.prompt == first.prompt
    assert second.session_id != first.session_id
    assert project.client.retry_task(task.id, request_id="retry-1") == rested


def test_a_retry_that_was_cancelled_in_the_queue_takes_nothing_away(
    server: RunningServer, project: Project, tmp_path: Path
) -> None:
    task = project.run("date +%N >> log; wc -l < log")
    server.terminate()
    server.start("--slots", "1")
    with server.client() as client, tasks_gates.Gate(tmp_path / "gate") as gate:
        client.enqueue(project.task_list.id, "Hold the slot", overrides=tasks_work.shell(gate.pass_through))
        gate.wait_for_arrivals()
        client.retry_task(task.id)
        assert client.cancel(task.id).task.state == Task.STATE_CANCELLED
        client.continue_task(task.id, "Go on.")
        gate.open()
        rested = tasks_work.rest(client, task.id)
        assert (rested.result, rested.worktree.saved_ref) == ("2", "")
        first, second = client.list_runs(task.id)
        assert second.session_id == first.session_id


def test_a_task_that_never_ran_can_be_retried(project: Project, tmp_path: Path) -> None:
    project.path.rename(tmp_path / "moved")
    task = project.run("true")
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    (tmp_path / "moved").rename(project.path)
    project.client.retry_task(task.id)
    assert tasks_work.rest(project.client, task.id).state == Task.STATE_SUCCEEDED


def test_a_sandbox_is_put_aside_by_a_retry(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "date +%N >> log")
    client.retry_task(task.id)
    rested = tasks_work.rest(client, task.id)
    assert Path(rested.directory, "log").read_text().count("\n") == 1
    assert Path(f"{rested.directory}.1", "log").exists()


def test_a_task_is_deleted_with_all_that_belongs_to_it(project: Project, client: taskgrove.Client) -> None:
    task = project.run("echo x > x")
    (run,) = client.list_runs(task.id)
    with pytest.raises(taskgrove.WorktreePresent) as caught:
        client.delete_task(task.id)
    assert caught.value.metadata == {"task_id": task.id, "path": task.worktree.path}
    assert client.get_task(task.id) == task
    saved_ref = client.delete_task(task.id, discard_worktree=True)
    assert saved_ref is not None
    assert "x" in project.files(saved_ref)
    assert not Path(run.log_path).exists()
    for call in (lambda: client.get_task(task.id), lambda: list(client.watch(task.id))):
        with pytest.raises(taskgrove.TaskNotFound):
            call()
    assert list(client.list_tasks()) == []
    assert tasks_feed.kinds(client.read_events())[-1] == "TASK_DELETED"
    sandboxed = tasks_work.run(client, "echo x > x")
    with pytest.raises(taskgrove.WorktreePresent):
        client.delete_task(sandboxed.id)
    assert client.delete_task(sandboxed.id, discard_worktree=True) is None
    assert not Path(sandboxed.directory).exists()
    empty = tasks_work.run(client, "true")
    assert client.delete_task(empty.id) is None


def test_a_task_of_which_nothing_is_left_is_deleted_without_more_ado(project: Project) -> None:
    landed, unlanded = project.run("echo 1 > one"), project.run("echo 2 > two")
    project.client.land(landed.id)
    project.client.prune_worktrees(rested_for=timedelta(0))
    assert project.client.delete_task(landed.id) is None
    with pytest.raises(taskgrove.WorktreePresent, match=f"the branch '{unlanded.worktree.branch}'"):
        project.client.delete_task(unlanded.id)
    assert project.client.get_task(unlanded.id).worktree.state == Worktree.STATE_PRUNED


def test_an_active_task_is_neither_deleted_nor_discarded_nor_retried(project: Project, tmp_path: Path) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        task = project.client.enqueue(project.task_list.id, "Busy", overrides=tasks_work.shell(gate.pass_through))
        gate.wait_for_arrivals()
        for call in (
            project.client.delete_task,
            project.client.discard_worktree,
            project.client.retry_task,
            project.client.push_branch,
        ):
            with pytest.raises(taskgrove.TaskActive):
                call(task.id)
    tasks_work.rest(project.client, task.id)


def test_a_task_whose_list_is_gone_is_cleared_away_by_its_worktree(project: Project, client: taskgrove.Client) -> None:
    task = project.run("echo x > x")
    client.delete_task_list(project.task_list.id)
    assert [file.path for file in client.list_changed_files(task.id)] == ["x"]
    removal = client.discard_worktree(task.id).removal
    assert removal.saved_ref
    assert removal.branch == task.worktree.branch
    with pytest.raises(taskgrove.TaskListDeleted):
        client.get_worktree_status(task.id)
    client.delete_task(task.id)
