"""A landing that is refused, raced or cut off leaves the checkout as it was, and one that is done moves all of it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, stubborn_trees, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.worktree_service_pb2 import CheckLandResponse
from taskgrove_server.domain import errors
from taskgrove_server.worktrees import giving_way
from taskgrove_server.worktrees.giving_way import File, Stamp

#: Several files before and behind the one that makes trouble.
SPREAD = "echo new > aa; echo more >> README.md; mkdir -p m; echo m > m/new; rm src/main.py; echo z > zz"


@pytest.fixture(scope="module")
def served() -> Iterator[RunningServer]:
    with RunningServer("--slots", "4") as server:
        yield server


@pytest.fixture
def project(served: RunningServer, tmp_path: Path) -> Iterator[Project]:
    with served.client() as client:
        yield Project(client, tmp_path / "project")


@pytest.mark.parametrize("lock", ["HEAD.lock", "refs/heads/main.lock"])
def test_a_lock_that_was_left_on_the_branch_is_told_before_anything_moves(project: Project, lock: str) -> None:
    task = project.run(SPREAD)
    (project.path / ".git" / lock).touch()
    before = tasks_work.snapshot(project.path)
    check = project.client.check_land(task.id)
    assert check.obstacle == CheckLandResponse.OBSTACLE_TARGET_BUSY
    with pytest.raises(taskgrove.TargetBusy):
        project.client.land(task.id)
    assert tasks_work.snapshot(project.path) == before
    subprocess.run(["/bin/sh", "-c", check.remedies[0].command], check=True)
    project.client.land(task.id)
    assert project.git("status", "--porcelain") == ""


def test_a_file_that_cannot_be_written_leaves_no_half_of_a_landing(project: Project) -> None:
    project.commit("m/old", "old\n")
    task = project.run(f"{SPREAD}; echo changed > m/old")
    stubborn_trees.protect(project.path / "m" / "old")
    try:
        before = tasks_work.snapshot(project.path)
        with pytest.raises(taskgrove.CheckoutDirty):
            project.client.land(task.id)
        assert tasks_work.snapshot(project.path) == before
    finally:
        stubborn_trees.protect(project.path / "m" / "old", "-i")
    project.client.land(task.id)
    assert project.git("status", "--porcelain") == ""


def test_who_switches_branches_all_the_time_gets_the_landing_on_no_other(project: Project) -> None:
    tasks = [project.run(f"echo {number} > file{number}") for number in range(6)]
    done = threading.Event()

    def switch() -> None:
        while not done.is_set():
            subprocess.run(["git", "checkout", "-q", "-B", "feature", "main"], cwd=project.path, capture_output=True)
            subprocess.run(["git", "checkout", "-q", "main"], cwd=project.path, capture_output=True)

    person = threading.Thread(target=switch)
    person.start()
    landed = 0
    try:
        for task in tasks:
            try:
                project.client.land(task.id, target_branch="main")
                landed += 1
            except (taskgrove.CheckoutDirty, taskgrove.TargetBusy, taskgrove.BranchMoved):
                continue
    finally:
        done.set()
        person.join()
    assert int(project.git("rev-list", "--count", "--merges", "main")) == landed
    reflog = project.git("reflog", "show", "feature", "--format=%gs").splitlines()
    assert not [line for line in reflog if line.startswith("taskgrove")]


def test_another_name_for_a_branch_moves_the_branch_and_its_checkout(project: Project) -> None:
    project.git("symbolic-ref", "refs/heads/master", "refs/heads/main")
    task = project.run(SPREAD)
    landed = project.client.land(task.id, target_branch="master")
    assert landed.worktree.landing.target_branch == "main"
    assert project.git("status", "--porcelain") == ""
    assert (project.path / "aa").exists()


def test_a_checkout_with_a_newline_in_its_path_is_not_taken_for_another(project: Project, tmp_path: Path) -> None:
    project.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "w"))
    odd = tmp_path / "w\nworktree x"
    project.git("worktree", "add", "-q", "-b", "odd", str(odd))
    task = project.run(SPREAD)
    before = project.git("rev-parse", "other")
    project.client.land(task.id, target_branch="odd")
    assert project.git("rev-parse", "other") == before
    assert (odd / "aa").exists()
    assert not (tmp_path / "w" / "aa").exists()
    assert repositories.git(odd, "status", "--porcelain") == ""


@pytest.mark.parametrize("becomes", ["echo f > sub", "ln -s README.md sub"])
@pytest.mark.parametrize("strategy", taskgrove.LandStrategy.values()[1:])
def test_a_submodule_that_becomes_a_file_is_not_deleted_with_what_it_has(
    project: Project, tmp_path: Path, becomes: str, strategy: taskgrove.LandStrategy
) -> None:
    origin = repositories.make_repository(tmp_path / "origin")
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "sub")
    project.git("commit", "-qm", "Submodule")
    task = project.run(f"git rm -qf --cached sub; rm -rf sub .gitmodules; {becomes}; git add -A; git commit -qm x")
    (project.path / "sub" / "unsaved").write_text("precious")
    for _ in range(2):
        check = project.client.check_land(task.id, strategy=strategy)
        assert list(check.blocking_files) == ["sub"]
        with pytest.raises(taskgrove.FilesInTheWay):
            project.client.land(task.id, strategy=strategy)
    assert (project.path / "sub" / "unsaved").read_text() == "precious"


def test_what_is_staged_where_the_landing_has_a_file_or_a_directory_is_a_change(project: Project) -> None:
    task = project.run("echo f > foo; mkdir bar; echo x > bar/x")
    (project.path / "foo").mkdir()
    (project.path / "foo" / "mine").write_text("m")
    project.git("add", "foo")
    (project.path / "foo" / "mine").unlink()
    (project.path / "foo").rmdir()
    with pytest.raises(taskgrove.CheckoutDirty) as caught:
        project.client.land(task.id)
    assert caught.value.metadata["files"] == "foo/mine"
    project.git("reset", "-q")
    project.client.land(task.id)
    assert project.git("status", "--porcelain") == ""


def crlf(project: Project, *names: str) -> None:
    """Commits files that differ from what git has of them from their checkout on."""
    for name in names:
        file = project.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"one\r\ntwo\r\n")
    project.git("add", ".")
    project.git("commit", "-qm", "CRLF")
    (project.path / ".gitattributes").write_text("*.txt text\n")
    project.git("add", ".gitattributes")
    project.git("commit", "-qm", "Attributes")
    for name in names:
        os.utime(project.path / name, (1, 1))


@pytest.mark.parametrize(
    "work",
    ["rm a.txt", "rm -r d; echo f > d", "rm -r d; ln -s ../outside d", "git mv a.txt b.txt", "echo more >> a.txt"],
)
def test_files_that_give_way_do_not_come_back_after_the_landing(project: Project, work: str) -> None:
    crlf(project, "a.txt", "d/a.txt")
    outside = project.path.parent / "outside"
    outside.mkdir()
    task = project.run(work)
    project.client.land(task.id)
    assert [line for line in project.git("status", "--porcelain").splitlines() if not line.endswith(".txt")] == []
    assert not [line for line in project.git("status", "--porcelain").splitlines() if line.startswith("??")]
    assert list(outside.iterdir()) == []
    assert not (project.path / ".git/taskgrove-giving-way").exists()


def test_a_file_that_is_saved_while_it_gives_way_is_kept(tmp_path: Path) -> None:
    git_dir = tmp_path / ".git"
    git_dir.mkdir()
    file = tmp_path / "file"
    file.write_text("looked at")
    stamp = Stamp.of(file)
    saved = tmp_path / "saved"
    saved.write_text("just typed")
    saved.replace(file)
    with (
        pytest.raises(errors.CheckoutDirty, match="being edited"),
        giving_way.out_of_the_way(str(tmp_path), str(git_dir), [File("file", stamp)]),
    ):
        pytest.fail("nothing may move")
    assert file.read_text() == "just typed"
    assert not (git_dir / "taskgrove-giving-way").exists()


def test_files_come_back_when_a_landing_fails_and_not_through_links(tmp_path: Path) -> None:
    git_dir = tmp_path / ".git"
    git_dir.mkdir()
    outside = tmp_path.parent / "outside of it"
    outside.mkdir()
    (tmp_path / "d").mkdir()
    files = [tmp_path / "a", tmp_path / "d" / "b"]
    for file in files:
        file.write_text(file.name)
    given = [File("a", Stamp.of(files[0])), File("d/b", Stamp.of(files[1]))]

    def fail() -> None:
        with giving_way.out_of_the_way(str(tmp_path), str(git_dir), given):
            (tmp_path / "d").rmdir()
            (tmp_path / "d").symlink_to(outside)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert files[0].read_text() == "a"
    assert list(outside.iterdir()) == []
    # It stays aside until its place is there again.
    (tmp_path / "d").unlink()
    (tmp_path / "d").mkdir()
    giving_way.put_back(str(tmp_path), str(git_dir))
    assert files[1].read_text() == "b"
    assert not (git_dir / "taskgrove-giving-way").exists()
