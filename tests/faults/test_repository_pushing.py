"""A push is told of as done only when the remote repository has everything of it, whatever the remote is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories
from support.server import RunningServer
from support.tasks_land import Project

#: A machine whose packages have not set Git LFS up for everybody.
PLAIN = {"GIT_CONFIG_NOSYSTEM": "1"}

LARGE = "large content\n" * 100

#: What stands in a commit for a file whose content Git LFS keeps.
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12\n".format(oid="0" * 64)


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return _project(client, tmp_path)


def _project(client: taskgrove.Client, tmp_path: Path) -> Project:
    project = Project(client, tmp_path / "project")
    repositories.git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    project.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    return project


def test_all_addresses_of_a_remote_have_the_branch(project: Project, tmp_path: Path) -> None:
    repositories.git(tmp_path, "init", "--quiet", "--bare", "other.git")
    for name in ("remote.git", "other.git"):
        project.git("config", "--add", "remote.origin.pushurl", str(tmp_path / name))
    task = project.run("echo x > x")
    project.client.push_branch(task.id, remote_branch="review")
    for name in ("remote.git", "other.git"):
        assert repositories.head(tmp_path / name, "review") == task.worktree.head_commit


def test_a_remote_of_which_one_address_fails_is_told_with_what_was_done(project: Project, tmp_path: Path) -> None:
    for name in ("remote.git", "nowhere.git"):
        project.git("config", "--add", "remote.origin.pushurl", str(tmp_path / name))
    task = project.run("echo x > x")
    with pytest.raises(taskgrove.PushFailed, match=r"nowhere\.git") as caught:
        project.client.push_branch(task.id, remote_branch="review")
    assert f"The branch was pushed to {tmp_path}/remote.git all the same." in caught.value.message
    assert repositories.head(tmp_path / "remote.git", "review") == task.worktree.head_commit


def test_a_remote_that_puts_the_work_elsewhere_is_no_success(project: Project, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    repositories.git(remote, "config", "receive.procReceiveRefs", "refs/heads/for")
    hook = remote / "hooks" / "proc-receive"
    hook.parent.mkdir(exist_ok=True)
    # As code review servers do: the push becomes another ref. The protocol is that of githooks(5), proc-receive.
    hook.write_text(
        """#!/usr/bin/env python3
import sys

def read():
    size = int(sys.stdin.buffer.read(4), 16)
    return sys.stdin.buffer.read(size - 4) if size else None

def write(text):
    sys.stdout.buffer.write(b"%04x" % (len(text) + 4) + text if text else b"0000")

while read():
    pass
write(b"version=1\\n")
write(b"")
sys.stdout.buffer.flush()
commands = []
while command := read():
    commands.append(command.split()[2])
for ref in commands:
    write(b"ok " + ref + b"\\n")
    write(b"option refname refs/changes/1\\n")
write(b"")
sys.stdout.buffer.flush()
""",
        encoding="utf-8",
    )
    hook.chmod(0o755)
    task = project.run("echo x > x")
    with pytest.raises(taskgrove.PushFailed, match="not report 'refs/heads/for/main' as taken"):
        project.client.push_branch(task.id, remote_branch="for/main")
    assert repositories.branches(remote) == []


def test_a_mirror_takes_one_branch(project: Project, tmp_path: Path) -> None:
    project.git("remote", "add", "--mirror=push", "Its.Mirror", str(tmp_path / "remote.git"))
    task = project.run("echo x > x")
    project.client.push_branch(task.id, remote="Its.Mirror", remote_branch="review")
    assert repositories.branches(tmp_path / "remote.git") == ["review"]


@pytest.fixture
def large_files() -> None:
    """Leaves the test out where git-lfs is not installed."""
    if shutil.which("git-lfs") is None:
        pytest.skip("needs git-lfs; apt-get install git-lfs")


@pytest.fixture
def lfs_server(large_files: None) -> Iterator[RunningServer]:
    """A server whose user has set Git LFS up, as `git lfs install` does."""
    server = RunningServer("--slots", "2", "--retry-pause", "0.1", environment=PLAIN)
    _set_up(server.home / ".gitconfig")
    with server:
        yield server


def _set_up(config: Path) -> None:
    for name, value in (
        ("clean", "git-lfs clean -- %f"),
        ("smudge", "git-lfs smudge -- %f"),
        ("process", "git-lfs filter-process"),
        ("required", "true"),
    ):
        repositories.git(config.parent, "config", "--file", str(config), f"filter.lfs.{name}", value)


def test_what_git_lfs_keeps_is_on_the_remote_as_well(lfs_server: RunningServer, tmp_path: Path) -> None:
    with lfs_server.client() as client:
        project = _project(client, tmp_path)
        project.commit(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
        (tmp_path / "large").write_text(LARGE)
        task = project.run(f"cp {tmp_path}/large large.bin; echo small > small")
        assert "oid sha256:" in project.git("cat-file", "blob", f"{task.worktree.branch}:large.bin")
        # Once to a remote of which nothing is known, and once more with what is new alone.
        for branch in ("review", "again"):
            client.push_branch(task.id, remote_branch=branch)
            assert _cloned(lfs_server, tmp_path / "remote.git", branch, tmp_path / branch, "large.bin") == LARGE
        (tmp_path / "large").write_text(f"{LARGE}more\n")
        client.continue_task(task.id, "Again")
        client.wait(task.id)
        client.push_branch(task.id, remote_branch="review")
        assert (
            _cloned(lfs_server, tmp_path / "remote.git", "review", tmp_path / "more", "large.bin") == f"{LARGE}more\n"
        )


def test_nothing_is_pushed_when_what_git_lfs_keeps_is_missing(lfs_server: RunningServer, tmp_path: Path) -> None:
    with lfs_server.client() as client:
        _, task = _with_pointer(client, tmp_path)
        with pytest.raises(taskgrove.PushFailed, match=r"(?s)kept by Git LFS.*Nothing was pushed"):
            client.push_branch(task.id)
    assert repositories.branches(tmp_path / "remote.git") == ["main"]


def test_git_leaves_what_git_lfs_keeps_where_it_is_when_told_so(large_files: None, tmp_path: Path) -> None:
    flags = ("--pass-environment", "GIT_LFS_SKIP_SMUDGE")
    for passed, expected in (((), LARGE), (flags, "version https://git-lfs.github.com/spec/v1")):
        server = RunningServer(*passed, environment={**PLAIN, "GIT_LFS_SKIP_SMUDGE": "1"})
        _set_up(server.home / ".gitconfig")
        with server, server.client() as client:
            project = _project(client, tmp_path / str(len(passed)))
            _set_up(project.path / ".git" / "config")
            project.commit(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
            project.commit("large.bin", LARGE)
            task = project.run("true")
            assert Path(task.worktree.path, "large.bin").read_text().startswith(expected)


def _cloned(server: RunningServer, remote: Path, branch: str, path: Path, name: str) -> str:
    """Returns a file of a fresh clone that has Git LFS."""
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", branch, f"file://{remote}", str(path)],
        env={**PLAIN, "PATH": os.environ["PATH"], "HOME": str(server.home)},
        check=True,
        timeout=60,
    )
    return (path / name).read_text()


class FakeLfs:
    """A `git-lfs` that records what it is asked."""

    def __init__(self, root: Path, *, status: int = 0) -> None:
        self.calls = root / "calls"
        program = root / "bin" / "git-lfs"
        program.parent.mkdir(parents=True)
        record = f'echo "$GIT_TERMINAL_PROMPT $*" >> {self.calls}'
        program.write_text(f"#!/bin/sh\n{record}\necho 'the store is closed' >&2\nexit {status}\n")
        program.chmod(0o755)
        self.environment = {**PLAIN, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def _with_pointer(client: taskgrove.Client, tmp_path: Path) -> tuple[Project, taskgrove.Task]:
    """Makes work that has a pointer in an earlier commit alone, and whose remote has several commits of the project."""
    project = _project(client, tmp_path)
    project.commit("assets/.gitattributes", "*.bin filter=lfs\n")
    project.git("push", "--quiet", "origin", "main")
    (tmp_path / "pointer").write_text(POINTER)
    own = "git -c filter.lfs.required=false -c filter.lfs.clean= -c filter.lfs.process="  # A pointer stays as it is.
    return project, project.run(
        f"cp {tmp_path}/pointer assets/a.bin; {own} add assets; {own} commit -qm Large; "
        f"{own} rm -q assets/a.bin; {own} commit -qm Small"
    )


def test_git_lfs_is_asked_before_the_push_when_a_commit_has_its_pointers(tmp_path: Path) -> None:
    fake = FakeLfs(tmp_path / "fake")
    with RunningServer(environment=fake.environment) as server, server.client() as client:
        project, task = _with_pointer(client, tmp_path)
        client.push_branch(task.id)
        head = task.worktree.head_commit
        assert fake.calls.read_text().splitlines() == [f"0 push origin {head}"]
        client.push_branch(task.id, remote_branch="again")
        plain = project.run("echo x > x")
        client.push_branch(plain.id)
        assert len(fake.calls.read_text().splitlines()) == 1, "no further call where nothing new has pointers"


def test_a_git_lfs_that_fails_ends_the_push_before_it_begins(tmp_path: Path) -> None:
    fake = FakeLfs(tmp_path / "fake", status=2)
    with RunningServer(environment=fake.environment) as server, server.client() as client:
        _, task = _with_pointer(client, tmp_path)
        with pytest.raises(taskgrove.PushFailed, match=r"(?s)the store is closed.*Nothing was pushed"):
            client.push_branch(task.id)
    assert repositories.branches(tmp_path / "remote.git") == ["main"]


def test_a_push_without_git_lfs_says_what_is_missing(tmp_path: Path) -> None:
    # A git whose path leads to no git-lfs.
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh", "env", "cp", "sed"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    with RunningServer(environment={**PLAIN, "PATH": str(programs)}) as server, server.client() as client:
        project, task = _with_pointer(client, tmp_path)
        with pytest.raises(taskgrove.PushFailed, match="git-lfs is not installed on the server"):
            client.push_branch(task.id)
        assert repositories.branches(tmp_path / "remote.git") == ["main"]
        plain = project.run("echo x > x")
        client.push_branch(plain.id, remote_branch="plain")
        assert repositories.head(tmp_path / "remote.git", "plain") == plain.worktree.head_commit


def test_pointers_are_not_taken_for_git_lfs_where_nothing_uses_it(tmp_path: Path) -> None:
    fake = FakeLfs(tmp_path / "fake", status=2)
    with RunningServer(environment=fake.environment) as server, server.client() as client:
        project = _project(client, tmp_path)
        (tmp_path / "pointer").write_text(POINTER)
        task = project.run(f"cp {tmp_path}/pointer example.txt")
        client.push_branch(task.id, remote_branch="review")
        assert not fake.calls.exists()
        assert repositories.head(tmp_path / "remote.git", "review") == task.worktree.head_commit


def test_what_git_lfs_keeps_is_not_pushed_to_one_of_several_addresses(tmp_path: Path) -> None:
    fake = FakeLfs(tmp_path / "fake")
    with RunningServer(environment=fake.environment) as server, server.client() as client:
        project, task = _with_pointer(client, tmp_path)
        repositories.git(tmp_path, "init", "--quiet", "--bare", "other.git")
        for name in ("remote.git", "other.git"):
            project.git("config", "--add", "remote.origin.pushurl", str(tmp_path / name))
        with pytest.raises(taskgrove.PushFailed, match="this remote has several"):
            client.push_branch(task.id)
        assert repositories.branches(tmp_path / "remote.git") == ["main"]
        assert not fake.calls.exists()
