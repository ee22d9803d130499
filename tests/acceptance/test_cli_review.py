"""The work of a task is reviewed, landed, pushed and cleared away from the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support import repositories
from support.cli_shell import Shell, shown
from support.server import RunningServer
from support.tasks_land import IDENTITY

COMMIT = IDENTITY + "echo more >> README.md; echo new > new.txt; git add .; git commit -qm Work; "


def test_a_diff_is_what_git_apply_takes(served: Shell, repository: Path) -> None:
    task_id = served.work(COMMIT + r"printf 'latin \351\n' > latin; printf 'a\0b' > binary; exit 1")
    patch = served.run("diff", task_id)
    assert patch.returncode == 0
    assert not patch.stderr
    assert b"+latin \xe9\n" in patch.stdout
    assert b"\x1b" not in patch.stdout
    text_only = served.run("diff", task_id, "README.md", "new.txt", "latin").stdout
    subprocess.run(["git", "apply"], cwd=repository, input=text_only, check=True)
    assert (repository / "README.md").read_text() == "hello\nmore\n"
    assert (repository / "latin").read_bytes() == b"latin \xe9\n"


def test_a_diff_is_summed_up(served: Shell) -> None:
    task_id = served.work(COMMIT + "mkdir docs; echo x > docs/x; exit 1")
    assert served.text("diff", task_id, "--name-only").splitlines() == ["README.md", "docs/x", "new.txt"]
    assert served.text("diff", task_id, "--name-only", "--committed").splitlines() == ["README.md", "new.txt"]
    assert served.text("diff", task_id, "--name-only", "docs").splitlines() == ["docs/x"]
    *files, total = served.text("diff", task_id, "--stat").splitlines()
    assert [line.split()[:3] for line in files] == [
        ["README.md", "|", "1"],
        ["docs/x", "|", "1"],
        ["new.txt", "|", "1"],
    ]
    assert total == " 3 files changed, 3 insertions(+)"
    objects = [json.loads(line) for line in served.text("diff", task_id, "--json").splitlines()]
    assert [(one["path"], one["kind"], one["deletions"]) for one in objects] == [
        ("README.md", "KIND_MODIFIED", 0),
        ("docs/x", "KIND_ADDED", 0),
        ("new.txt", "KIND_ADDED", 0),
    ]


def test_a_patch_that_was_cut_is_told_of(served: Shell) -> None:
    task_id = served.work("seq 1000 > numbers")
    cut = served.run("diff", task_id, "--max-patch-bytes", "500")
    assert cut.returncode == 0
    assert len(cut.stdout) <= 500
    [told] = cut.stderr.decode().splitlines()
    assert told.startswith("The patch of numbers was cut")
    whole = served.text(*told.partition(": taskgrove ")[2].split())
    assert "\n+1000\n" in whole


def test_work_is_checked_and_landed(served: Shell, repository: Path) -> None:
    task_id = served.work(COMMIT)
    assert served.text("land", task_id, "--check").startswith(f"Task {task_id} can land on main: 1 commit;")
    check = json.loads(served.text("land", task_id, "--check", "--json"))
    assert check["can_land"] is True
    said = served.text("land", task_id, "--squash", "--message", "All of it")
    assert said == f"Task {task_id} has landed on main as {repositories.head(repository)[:10]}.\n"
    assert repositories.git(repository, "log", "-1", "--format=%s") == "All of it"
    assert (repository / "new.txt").exists()
    assert "on main as" in served.text("show", task_id)
    again = served.run("land", task_id)
    assert again.returncode == 1
    assert b"There is nothing to land: main has everything" in again.stderr
    no = served.run("land", task_id, "--check", "--json")
    assert (no.returncode, json.loads(no.stdout)["can_land"]) == (1, False)


def test_what_stands_in_the_way_comes_with_what_to_do(served: Shell, repository: Path) -> None:
    task_id = served.work(COMMIT + "echo left > left; exit 1")
    (repository / "README.md").write_text("being edited\n")
    dirty = served.run("land", task_id)
    assert dirty.returncode == 1
    assert f"  taskgrove land {task_id} --commit-uncommitted\n" in dirty.stderr.decode()
    checkout = served.run("land", task_id, "--commit-uncommitted")
    assert checkout.returncode == 1
    assert "git stash push -- ':(top,literal)README.md'" in checkout.stderr.decode()
    repositories.commit(repository, {"README.md": "mine\n"}, "Mine")
    conflict = served.run("land", task_id)
    assert conflict.returncode == 1
    assert "have changed the same places:\n  README.md\n" in conflict.stderr.decode()
    assert f"  taskgrove retry {task_id}\n" in conflict.stderr.decode()
    assert served.run("land", task_id, "--onto", "nowhere").returncode == 5
    # Into a branch without the conflict, what is left included.
    repositories.git(repository, "branch", "release", "HEAD~1")
    assert "on release as" in served.text("land", task_id, "--onto", "release")
    assert repositories.git(repository, "show", "release:left") == "left"


def test_work_is_pushed(served: Shell, repository: Path, tmp_path: Path) -> None:
    remote = repositories.make_bare_repository(tmp_path / "remote.git")
    repositories.git(repository, "remote", "add", "fork", str(remote))
    task_id = served.work(COMMIT)
    head = shown(served, task_id)["task"]["worktree"]["head_commit"]
    said = served.text("push", task_id, "--remote", "fork", "--branch", "mend")
    assert said == f"Pushed {head[:10]} to fork, branch mend.\n"
    assert repositories.head(remote, "mend") == head
    refused = served.run("push", task_id)
    assert refused.returncode == 5
    assert b"origin" in refused.stderr


def test_a_person_sees_what_takes_its_time(server: RunningServer, repository: Path, tmp_path: Path) -> None:
    remote = repositories.make_bare_repository(tmp_path / "remote.git")
    repositories.git(repository, "remote", "add", "origin", str(remote))
    shell = Shell(server, repository, TERM="xterm")
    task_id = shell.work(COMMIT)
    said = shell.at_terminal("push", task_id)
    assert f"Pushing the work of task {task_id} to origin (Ctrl-C to leave)".encode() in said
    # The line is taken back at the end.
    assert said.rpartition(b"\x1b[2K")[2].startswith(b"Pushed ")
    assert f"Landing task {task_id} on main".encode() in shell.at_terminal("land", task_id)


def test_what_is_discarded_can_be_had_back(served: Shell, repository: Path) -> None:
    task_id = served.work(COMMIT + "echo left > left; exit 1")
    tree = shown(served, task_id)["task"]["worktree"]
    planned = served.text("discard", task_id, "--dry-run")
    assert tree["path"] in planned
    assert "1 commit that is not landed, 1 file that is not committed" in planned
    refused = served.run("discard", task_id)
    assert refused.returncode == 2
    assert b"--yes" in refused.stderr
    assert Path(tree["path"]).is_dir()
    *_, way_back = served.text("discard", task_id, "--yes").splitlines()
    assert not Path(tree["path"]).exists()
    subprocess.run(["sh", "-c", way_back], check=True)
    assert repositories.git(repository, "show", f"{tree['branch']}:left") == "left"
    assert f"refs/taskgrove/saved/{task_id}/1" in served.text("show", task_id)
    again = served.run("discard", task_id, "aaaaaaaaaaaa", "--yes")
    assert again.returncode == 5
    assert b"There is no task 'aaaaaaaaaaaa'" in again.stderr


def test_old_worktrees_are_pruned(served: Shell) -> None:
    task_id = served.work(COMMIT)
    path = shown(served, task_id)["task"]["worktree"]["path"]
    assert b"No worktree is due." in served.run("prune").stderr
    assert path in served.text("prune", "--rested-for", "0s", "--dry-run")
    assert Path(path).is_dir()
    removal = json.loads(served.text("prune", "--rested-for", "0s", "--json"))
    assert (removal["task_id"], removal["path"]) == (task_id, path)
    assert "(pruned)" in served.text("show", task_id)


def test_a_task_is_deleted_with_its_worktree(served: Shell, repository: Path) -> None:
    task_id = served.work(COMMIT)
    kept = served.run("rm", task_id, "--yes")
    assert kept.returncode == 5
    assert b"still has" in kept.stderr
    said = served.text("rm", task_id, "--discard-worktree", "--yes")
    assert said.startswith(f"Task {task_id} is deleted.\n  its work is saved at refs/taskgrove/saved/{task_id}/1")
    assert served.run("show", task_id).returncode == 5
    assert repositories.branches(repository) == ["main"]


def test_a_terminal_gets_colours_through_the_pager(server: RunningServer, repository: Path, tmp_path: Path) -> None:
    pager = f"tee '{tmp_path}/paged'"
    shell = Shell(server, repository, TERM="xterm", TASKGROVE_PAGER=pager)
    task_id = shell.work(r"printf 'new \033]0;title\007\n' > new.txt")
    assert b"\x1b[32m+new \xe2\x90\x9b]0;title\xe2\x90\x87\x1b[m\r\n" in shell.at_terminal("diff", task_id)
    paged = (tmp_path / "paged").read_bytes()
    assert b"\x1b[1mdiff --git" in paged
    assert b"\x1b[36m@@ -0,0 +1 @@\x1b[m\n" in paged
    (tmp_path / "paged").unlink()
    assert b"\x1b[32m+new" in shell.at_terminal("diff", task_id, "--no-pager")
    assert not (tmp_path / "paged").exists()


def test_a_person_is_asked_before_a_discard(served: Shell) -> None:
    task_id = served.work(COMMIT)
    path = Path(shown(served, task_id)["task"]["worktree"]["path"])
    said = served.at_terminal("discard", task_id, typed=b"n\n")
    assert b"Discard 1 worktree? [y/N]" in said
    assert b"Nothing was discarded." in said
    assert path.is_dir()
    assert b"its work is saved at" in served.at_terminal("discard", task_id, typed=b"y\n")
    assert not path.exists()
