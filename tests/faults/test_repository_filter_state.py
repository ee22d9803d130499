"""Filters keep keys in the git directory, are not installed, or fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_work
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task

#: A filter that finds its key as git-crypt does, and a cipher that anybody can read.
CIPHER = """#!/bin/sh
key=$(git rev-parse --git-dir)/git-crypt/keys/default
test -r "$key" || { echo "no key at $key" >&2; exit 1; }
tr a-zA-Z n-za-mN-ZA-M
"""


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def encrypt(project: Project, tmp_path: Path, *, by: str) -> None:
    """Commits a file that is encrypted for everybody but this checkout."""
    (project.path / ".gitattributes").write_text(f"secret filter={by} diff={by}\n")
    if by == "git-crypt":
        project.git("crypt", "init")
    else:
        cipher = tmp_path / "cipher"
        cipher.write_text(CIPHER)
        cipher.chmod(0o755)
        keys = project.path / ".git" / "git-crypt" / "keys"
        keys.mkdir(parents=True)
        (keys / "default").touch()
        for name, value in (("smudge", str(cipher)), ("clean", str(cipher)), ("required", "true")):
            project.git("config", f"filter.{by}.{name}", value)
    project.commit("secret", "hello\n")
    assert is_encrypted(project, "HEAD")


def is_encrypted(project: Project, revision: str) -> bool:
    """Tells whether what a commit has is not what the file that is checked out has."""
    plain = project.git("hash-object", "--no-filters", "secret")
    return project.git("rev-parse", f"{revision}:secret") != plain


FILTERS = [
    "cipher",
    pytest.param("git-crypt", marks=pytest.mark.skipif(not shutil.which("git-crypt"), reason="git-crypt is missing")),
]


@pytest.mark.parametrize("by", FILTERS)
def test_encrypted_files_live_a_whole_life(project: Project, tmp_path: Path, by: str) -> None:
    client = project.client
    encrypt(project, tmp_path, by=by)
    task = project.run("grep -q hello secret && echo more >> secret; echo open > open")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert Path(task.worktree.path, "secret").read_text() == "hello\nmore\n"
    assert [part.file.path for part in client.diff_worktree(task.id).files] == ["open", "secret"]
    client.land(task.id)
    assert Path(project.path, "secret").read_text() == "hello\nmore\n"
    assert is_encrypted(project, task.worktree.head_commit)
    assert project.git("status", "--porcelain") == ""
    shutil.rmtree(task.worktree.path)
    client.continue_task(task.id, "Go on.")
    task = tasks_work.rest(client, task.id)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert Path(task.worktree.path, "secret").read_text() == "hello\nmore\nmore\n"
    Path(task.worktree.path, "secret").write_text("unfinished\n")
    removal = client.discard_worktree(task.id).removal
    assert removal.uncommitted_files == 1
    project.git("checkout", "--quiet", removal.saved_ref)
    assert Path(project.path, "secret").read_text() == "unfinished\n"
    # With the worktree's git directory, the link went and not the keys.
    assert any((project.path / ".git" / "git-crypt" / "keys").iterdir())


def test_a_registration_that_is_made_again_has_the_keys_too(project: Project, tmp_path: Path) -> None:
    encrypt(project, tmp_path, by="cipher")
    task = project.run("echo more >> secret")
    path = Path(task.worktree.path)
    shutil.rmtree(repositories.git(path, "rev-parse", "--absolute-git-dir"))
    (path / "secret").write_text("unfinished\n")
    assert project.client.get_worktree_status(task.id).uncommitted_files == 1
    saved = project.client.discard_worktree(task.id).removal.saved_ref
    project.git("checkout", "--quiet", saved)
    assert Path(project.path, "secret").read_text() == "unfinished\n"


@pytest.mark.parametrize("name", ["lfs", "my.own"])
def test_a_filter_that_cannot_run_is_named_with_what_to_do_and_leaves_nothing(project: Project, name: str) -> None:
    (project.path / ".gitattributes").write_text(f"*.bin filter={name}\n")
    project.commit("large.bin", "version https://git-lfs.github.com/spec/v1\n")
    kind = "process" if name == "lfs" else "smudge"
    project.git("config", f"filter.{name}.{kind}", "a-program-that-is-not-installed")
    project.git("config", f"filter.{name}.required", "true")
    task = project.run("true")
    assert task.state == Task.STATE_FAILED
    assert task.failure.kind == taskgrove.FailureKind.FAILURE_KIND_WORKTREE
    assert f"The filter '{name}', which the repository requires" in task.failure.message
    assert f"git config filter.{name}.required false" in task.failure.message
    assert ("GIT_LFS_SKIP_SMUDGE=1" in task.failure.message) == (name == "lfs")
    assert repositories.branches(project.path) == ["main"]
    assert repositories.worktree_paths(project.path) == []
    assert list(Path(project.path, ".git", "worktrees").glob("*")) == []
    # As it says.
    project.git("config", f"filter.{name}.required", "false")
    project.client.retry_task(task.id)
    assert tasks_work.rest(project.client, task.id).state == Task.STATE_SUCCEEDED


def test_keys_that_are_wrong_leave_nothing_either(project: Project, tmp_path: Path) -> None:
    encrypt(project, tmp_path, by="cipher")
    (project.path / ".git" / "git-crypt" / "keys" / "default").unlink()
    task = project.run("true")
    assert task.state == Task.STATE_FAILED
    assert "The filter 'cipher', which the repository requires" in task.failure.message
    assert "no key at" in task.failure.message
    assert repositories.branches(project.path) == ["main"]
    assert repositories.worktree_paths(project.path) == []
