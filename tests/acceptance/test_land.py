"""Work is landed, or refused with nothing changed."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_land import IDENTITY, Project
from taskgrove.v1.worktree_service_pb2 import CheckLandResponse

MERGE = taskgrove.LandStrategy.LAND_STRATEGY_MERGE
SQUASH = taskgrove.LandStrategy.LAND_STRATEGY_SQUASH
REBASE = taskgrove.LandStrategy.LAND_STRATEGY_REBASE
STRATEGIES = pytest.mark.parametrize("strategy", [MERGE, SQUASH, REBASE], ids=["merge", "squash", "rebase"])

TWO_COMMITS = "echo 1 > one; git add .; git commit -qm One; echo 2 > two; git add .; git commit -qm Two"


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


@STRATEGIES
def test_work_lands_on_the_branch_that_is_checked_out(project: Project, strategy: taskgrove.LandStrategy) -> None:
    task = project.run(TWO_COMMITS, title="Add numbers")
    before = project.commit("theirs", "theirs")
    (project.path / "untracked").write_text("stays")
    check = project.client.check_land(task.id, strategy=strategy)
    assert check.can_land
    assert (check.target_branch, check.target_commit, check.commits) == ("main", before, 2)
    assert (check.head_commit, check.checkout_path) == (task.worktree.head_commit, str(project.path))
    landed = project.client.land(task.id, strategy=strategy, expected_head=check.head_commit)
    landing = landed.worktree.landing
    assert (landing.target_branch, landing.strategy) == ("main", strategy)
    assert (landing.commit, landing.head_commit) == (project.git("rev-parse", "main"), task.worktree.head_commit)
    assert project.files() == ["README.md", "one", "src/main.py", "theirs", "two"]
    assert project.git("status", "--porcelain") == "?? untracked"
    subjects = project.git("log", "--first-parent", "--format=%s", f"{before}..main").splitlines()
    assert (
        subjects
        == {
            MERGE: ["Merge task: Add numbers"],
            SQUASH: ["Add numbers"],
            REBASE: ["Two", "One"],
        }[strategy]
    )
    if strategy == MERGE:
        assert project.git("log", "-1", "--format=%P", "main") == f"{before} {task.worktree.head_commit}"
    assert f"Taskgrove-Task: {task.id}" in project.git("log", "-1", "--format=%B", "main") or strategy == REBASE
    status = project.client.get_worktree_status(task.id)
    assert (status.landed, status.present) == (True, True)
    assert status.ahead == 0
    with pytest.raises(taskgrove.NothingToLand):
        project.client.land(task.id, strategy=strategy)
    # People still see what the task did.
    assert [file.path for file in project.client.list_changed_files(task.id)] == ["one", "two"]


@STRATEGIES
def test_work_lands_on_a_branch_that_nobody_has_checked_out(project: Project, strategy: taskgrove.LandStrategy) -> None:
    project.git("branch", "release")
    snapshot = tasks_work.snapshot(project.path)
    task = project.run(TWO_COMMITS)
    landed = project.client.land(task.id, target_branch="release", strategy=strategy)
    assert landed.worktree.landing.commit == project.git("rev-parse", "release")
    assert project.files("release") == ["README.md", "one", "src/main.py", "two"]
    assert tasks_work.snapshot(project.path) == snapshot
    assert "taskgrove: land task" in project.git("reflog", "-1", "release")


@STRATEGIES
def test_a_conflict_is_refused_with_nothing_changed(project: Project, strategy: taskgrove.LandStrategy) -> None:
    task = project.run("echo theirs > README.md; echo more > src/main.py")
    project.commit("README.md", "mine")
    snapshot = tasks_work.snapshot(project.path)
    check = project.client.check_land(task.id, strategy=strategy)
    assert (check.can_land, check.obstacle) == (False, CheckLandResponse.OBSTACLE_CONFLICT)
    assert list(check.conflicting_files) == ["README.md"]
    with pytest.raises(taskgrove.LandConflict) as caught:
        project.client.land(task.id, strategy=strategy)
    assert caught.value.metadata == {"task_id": task.id, "target_branch": "main", "files": "README.md"}
    assert tasks_work.snapshot(project.path) == snapshot
    assert not (project.path / ".git" / "MERGE_HEAD").exists()


@pytest.mark.parametrize("change", ["edited", "staged", "merging"])
def test_a_checkout_with_changes_where_the_landing_has_some_is_left_alone(project: Project, change: str) -> None:
    task = project.run("echo x > x; echo more >> README.md")
    if change == "edited":
        (project.path / "README.md").write_text("being edited")
    elif change == "staged":
        (project.path / "x").write_text("new")
        project.git("add", "x")
    else:
        project.git("checkout", "-qb", "other")
        project.commit("other", "other")
        project.git("checkout", "-q", "main")
        project.commit("main", "main")
        project.git("merge", "--no-commit", "--no-ff", "-q", "other")
        project.git("read-tree", "--reset", "-u", "HEAD")
    snapshot = tasks_work.snapshot(project.path)
    check = project.client.check_land(task.id)
    assert (check.can_land, check.obstacle) == (False, CheckLandResponse.OBSTACLE_CHECKOUT_DIRTY)
    with pytest.raises(taskgrove.CheckoutDirty) as caught:
        project.client.land(task.id)
    files = {"edited": {"files": "README.md"}, "staged": {"files": "x"}, "merging": {}}[change]
    assert caught.value.metadata == {"path": str(project.path), **files}
    assert tasks_work.snapshot(project.path) == snapshot


def test_a_file_in_the_way_is_not_overwritten(project: Project) -> None:
    task = project.run("echo theirs > in-the-way; echo more >> README.md")
    (project.path / "in-the-way").write_text("mine")
    snapshot = tasks_work.snapshot(project.path)
    with pytest.raises(taskgrove.FilesInTheWay, match="in-the-way"):
        project.client.land(task.id)
    assert tasks_work.snapshot(project.path) == snapshot


def test_only_what_was_expected_is_landed(project: Project) -> None:
    task = project.run("echo x > x")
    repositories.commit(task.worktree.path, {"more": "more"}, "By hand")
    before = project.git("rev-parse", "main")
    with pytest.raises(taskgrove.BranchMoved) as caught:
        project.client.land(task.id, expected_head=task.worktree.head_commit)
    assert caught.value.code == grpc.StatusCode.ABORTED
    assert caught.value.metadata["commit"] == repositories.head(task.worktree.path)
    assert project.git("rev-parse", "main") == before
    project.client.land(task.id, expected_head=caught.value.metadata["commit"])
    assert "more" in project.files()


def test_what_a_failed_task_left_uncommitted_is_landed_when_asked_for(project: Project) -> None:
    task = project.run("echo x > x; exit 1")
    check = project.client.check_land(task.id)
    assert (check.can_land, check.obstacle) == (False, CheckLandResponse.OBSTACLE_WORKTREE_DIRTY)
    with pytest.raises(taskgrove.WorktreeDirty):
        project.client.land(task.id)
    landed = project.client.land(task.id, commit_uncommitted=True, message="Take it all the same")
    assert project.files() == ["README.md", "src/main.py", "x"]
    assert project.git("log", "-1", "--format=%s") == "Take it all the same"
    assert landed.worktree.head_commit == landed.worktree.landing.head_commit


@STRATEGIES
def test_a_task_that_goes_on_lands_what_is_new(project: Project, strategy: taskgrove.LandStrategy) -> None:
    task = project.run("date +%N >> log; echo line >> README.md")
    project.client.land(task.id, strategy=SQUASH)
    project.client.continue_task(task.id, "Again")
    tasks_work.rest(project.client, task.id)
    assert [file.path for file in project.client.list_changed_files(task.id)] == ["README.md", "log"]
    assert project.client.get_worktree_status(task.id).ahead == 1
    project.client.land(task.id, strategy=strategy)
    assert len((project.path / "log").read_text().splitlines()) == 2
    assert (project.path / "README.md").read_text().count("line") == 2


def test_a_rebase_keeps_authors_and_leaves_out_what_is_there_already(project: Project) -> None:
    task = project.run(
        "echo same > same; git add .; git commit -qm Same; echo own > own; git add .; "
        "GIT_AUTHOR_NAME=Ada GIT_AUTHOR_DATE='1700000000 +0200' git commit -qm 'Own' -m 'Body'"
    )
    project.commit("same", "same\n")
    project.client.land(task.id, strategy=REBASE)
    assert project.git("log", "-1", "--format=%an|%ad|%s|%b|%P", "--date=raw") == (
        f"Ada|1700000000 +0200|Own|Body\n|{project.git('rev-parse', 'main~1')}"
    )
    assert project.git("log", "--format=%s", "-3").splitlines() == ["Own", "Change same", "First"]


def test_a_landing_is_safe_to_repeat(project: Project, server: RunningServer) -> None:
    task = project.run("echo x > x")
    landed = project.client.land(task.id, request_id="land-1")
    assert project.client.land(task.id, request_id="land-1") == landed
    with pytest.raises(taskgrove.RequestIdReused):
        project.client.land(task.id, request_id="land-1", strategy=SQUASH)
    server.kill()
    server.start()
    assert project.client.land(task.id, request_id="land-1") == landed


def test_twenty_tasks_land_at_once(project: Project, client: taskgrove.Client) -> None:
    tasks = [
        client.enqueue(project.task_list.id, f"Task {n}", overrides=tasks_work.shell(f"echo {n} > file{n}"))
        for n in range(20)
    ]
    for task in tasks:
        tasks_work.rest(client, task.id)

    def land(task: taskgrove.Task) -> str:
        return client.land(task.id, strategy=SQUASH).worktree.landing.commit

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(land, tasks))) == 20
    assert len(project.files()) == 22
    assert project.git("status", "--porcelain") == ""
    project.git("fsck", "--strict")


def test_what_cannot_land_is_told(project: Project, client: taskgrove.Client, tmp_path: Path) -> None:
    nothing = project.run("true")
    with pytest.raises(taskgrove.NothingToLand):
        client.land(nothing.id)
    task = project.run("echo x > x")
    with pytest.raises(taskgrove.BranchNotFound):
        client.land(task.id, target_branch="nowhere")
    project.git("checkout", "-q", "--detach")
    assert client.check_land(task.id).obstacle == CheckLandResponse.OBSTACLE_NO_TARGET_BRANCH
    with pytest.raises(taskgrove.BranchNotFound) as caught:
        client.land(task.id)
    assert caught.value.metadata == {"branch": ""}
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        busy = client.enqueue(project.task_list.id, "Busy", overrides=tasks_work.shell(gate.pass_through))
        gate.wait_for_arrivals()
        assert client.check_land(busy.id).obstacle == CheckLandResponse.OBSTACLE_TASK_ACTIVE
        with pytest.raises(taskgrove.TaskActive):
            client.land(busy.id)
    tasks_work.rest(client, busy.id)
    with pytest.raises(taskgrove.NoWorktree):
        client.land(tasks_work.run(client, "true").id)


def test_a_git_that_is_too_old_to_land_is_named(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    # As git 2.34 answers options that its merge-tree does not know.
    refusal = "echo 'usage: git merge-tree <base-tree> <branch1> <branch2>' >&2; exit 129"
    old.write_text(f'#!/bin/sh\ncase " $* " in *" merge-tree "*) {refusal};; esac\nexec {shutil.which("git")} "$@"\n')
    old.chmod(0o755)
    with (
        RunningServer(environment={"PATH": f"{old.parent}:{os.environ['PATH']}"}) as server,
        server.client() as client,
    ):
        project = Project(client, tmp_path / "project")
        task = project.run("echo x > x")
        before = repositories.head(project.path)
        for call in (client.check_land, client.land):
            with pytest.raises(taskgrove.RepositoryFailed, match=r"git 2\.38 or newer"):
                call(task.id)
        assert repositories.head(project.path) == before


def test_a_push_that_hangs_ends_with_its_caller(
    project: Project, client: taskgrove.Client, server: RunningServer, tmp_path: Path
) -> None:
    remote = repositories.make_bare_repository(tmp_path / "remote.git")
    project.git("remote", "add", "origin", str(remote))
    task = project.run("echo x > x")
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        hook = remote / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{gate.pass_through}\n")
        hook.chmod(0o755)
        with (
            taskgrove.Client(server.target, work_timeout=1) as impatient,
            pytest.raises(taskgrove.DeadlineExceeded),
        ):
            impatient.push_branch(task.id)

        def is_free() -> bool:
            with pytest.raises((taskgrove.RemoteNotFound, taskgrove.WorktreeBusy)) as caught:
                client.push_branch(task.id, remote="nowhere")
            return caught.type is taskgrove.RemoteNotFound

        # While the remote repository still waits.
        tasks_gates.until(is_free, "the end of the push")
    assert repositories.branches(remote) == ["main"]


def test_work_is_pushed_to_a_remote(project: Project, client: taskgrove.Client, tmp_path: Path) -> None:
    theirs = repositories.make_repository(tmp_path / "theirs", files={"theirs": "theirs"})
    remote = tmp_path / "remote.git"
    repositories.git(tmp_path, "clone", "-q", "--bare", str(theirs), str(remote))
    task = project.run(f"{IDENTITY} echo x > x")
    with pytest.raises(taskgrove.RemoteNotFound):
        client.push_branch(task.id)
    project.git("remote", "add", "origin", str(remote))
    pushed = client.push_branch(task.id)
    assert (pushed.remote_branch, pushed.commit) == (task.worktree.branch, task.worktree.head_commit)
    assert repositories.head(remote, task.worktree.branch) == task.worktree.head_commit
    client.push_branch(task.id, remote_branch="review/1")
    assert repositories.head(remote, "review/1") == task.worktree.head_commit
    with pytest.raises(taskgrove.PushFailed) as caught:
        client.push_branch(task.id, remote_branch="main")
    assert caught.value.metadata == {"remote": "origin", "remote_branch": "main"}
    # What was never seen from here is not replaced.
    with pytest.raises(taskgrove.PushFailed):
        client.push_branch(task.id, remote_branch="main", force=True)
    project.git("fetch", "-q")
    client.push_branch(task.id, remote_branch="main", force=True)
    assert repositories.head(remote, "main") == task.worktree.head_commit
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Not on Fridays.' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(taskgrove.PushFailed, match="Not on Fridays"):
        client.push_branch(task.id, remote_branch="new")
    hook.write_text("#!/bin/sh\necho 'Open a pull request at https://example.org/1'\n")
    assert client.push_branch(task.id, remote_branch="new").remote_message == (
        "Open a pull request at https://example.org/1"
    )
