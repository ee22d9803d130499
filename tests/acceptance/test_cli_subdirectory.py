"""A person stands somewhere in a repository, and what they ask for begins there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from support import repositories
from support.cli_shell import Shell, end_server, shown, task_id_in
from support.server import RunningServer

WHERE = ("--", "pwd", "-P")


@pytest.fixture
def app(repository: Path) -> Path:
    """A directory of the repository."""
    repositories.commit(repository, {"packages/app/main.py": "x\n"}, "App")
    return repository / "packages/app"


def place_in(shell: Shell, task_id: str) -> str:
    """Returns where in its worktree the agent of a task was, as it said itself."""
    task = shown(shell, task_id)["task"]
    printed = shell.text("log", task_id)
    top = os.path.realpath(task["worktree"]["path"])
    found = re.search(rf"{re.escape(top)}(\S*)", printed)
    assert found, printed
    return found[1].removeprefix("/")


def test_a_task_begins_where_the_person_stands(server: RunningServer, app: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(app)
    for here in (app, tmp_path / "link"):
        shell = Shell(server, here, PWD=str(here))
        ended = shell.run("run", "Look", *WHERE)
        assert ended.returncode == 0, ended.stderr
        assert b"The agent starts in packages/app; at the repository's top with --subdirectory .\n" in ended.stderr
        task_id = task_id_in(ended.stdout)
        assert place_in(shell, task_id) == "packages/app"
        assert re.search(r"starts in +packages/app\n", shell.text("show", task_id))
    enqueued = shell.text("enqueue", "Look", *WHERE).strip()
    shell.run("watch", enqueued)
    assert place_in(shell, enqueued) == "packages/app"
    assert len(list(server.client().list_task_lists())) == 1


def test_it_begins_at_the_top_when_told_so(server: RunningServer, app: Path) -> None:
    shell = Shell(server, app)
    ended = shell.run("run", "Look", "--subdirectory", ".", *WHERE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == b""
    assert place_in(shell, task_id_in(ended.stdout)) == ""


def test_a_private_server_begins_there_too(repository: Path, app: Path) -> None:
    place = RunningServer()
    shell = Shell(place, app)
    try:
        ended = shell.run("run", "Look", *WHERE)
        assert ended.returncode == 0, ended.stderr
        assert b"/packages/app\n" in ended.stdout
    finally:
        end_server(shell)
        place.__exit__()
    assert repositories.git(repository, "status", "--porcelain") == ""


def test_the_advice_for_a_new_directory_leads_out_of_it(server: RunningServer, repository: Path, app: Path) -> None:
    new = app / "new"
    new.mkdir()
    shell = Shell(server, new)
    refused = shell.run("run", "Look", *WHERE)
    assert refused.returncode == 5
    assert refused.stderr.decode() == (
        "taskgrove: The task cannot start in 'packages/app/new': the repository's HEAD has no such directory. Commit "
        "something in it, or name another directory. To start at the repository's top, use: --subdirectory .\n"
    )
    top = shell.run("run", "Look", "--subdirectory", ".", *WHERE)
    assert top.returncode == 0, top.stderr
    repositories.commit(repository, {"packages/app/new/file": "x\n"}, "Something in it")
    there = shell.run("run", "Look", *WHERE)
    assert there.returncode == 0, there.stderr
    assert place_in(shell, task_id_in(there.stdout)) == "packages/app/new"


def test_the_advice_for_several_lists_can_be_followed(server: RunningServer, app: Path) -> None:
    shell = Shell(server, app)
    older, newer = (shell.text("lists", "create", name, "--dir", ".").strip() for name in ("Older", "Newer"))
    first = shell.run("enqueue", "Look", *WHERE)
    assert f"the task goes to the newest, {newer} (Newer)." in first.stderr.decode()
    assert shown(shell, first.stdout.decode().strip())["task"]["task_list_id"] == newer
    (chosen,) = re.findall(r"use --list ID: (\S+) \(Older\)\n", first.stderr.decode())
    assert chosen == older
    second = shell.run("run", "Look", "--list", chosen, *WHERE)
    assert b"several task lists" not in second.stderr
    task_id = task_id_in(second.stdout)
    assert shown(shell, task_id)["task"]["task_list_id"] == older
    assert place_in(shell, task_id) == "packages/app"


def test_a_directory_that_is_gone_is_one_sentence(server: RunningServer, app: Path) -> None:
    shell = Shell(server, app)
    ended = shell.run("run", "Look", *WHERE)
    assert ended.returncode == 0
    task_id = task_id_in(ended.stdout)
    shutil.rmtree(app)
    repositories.git(app.parent.parent, "commit", "--quiet", "--all", "--message", "Gone")
    again = Shell(server, app.parent.parent).run("retry", task_id)
    assert again.returncode == 1
    assert b"the repository's HEAD has no such directory" in again.stdout
