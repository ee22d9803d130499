"""Whatever a run leaves in its worktree is committed, by the configured author and without asking anybody."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commits, worktrees

TASK = TaskId("k3v9m2qxw7ab")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> str:
    return str(made.make_repository(tmp_path / "project"))


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "data" / "worktrees", commits.Author(), timeout=30)


@pytest.fixture
def worktree(grove: worktrees.Worktrees, repository: str) -> Worktree:
    return grove.create(repository, TASK, "Fix the login")


def commit(grove: worktrees.Worktrees, worktree: Worktree, title: str = "Fix the login") -> str:
    return grove.commit(worktree, title=title, task_id=TASK, task_list_title="The\nweb site", run_number=2)


def write(worktree: Worktree, name: str, text: str = "text\n") -> Path:
    file = Path(worktree.path, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def changes(worktree: Worktree) -> list[str]:
    """Returns what the branch has changed since its base, one "status name" a line."""
    lines = made.git(
        worktree.path, "-c", "core.quotePath=false", "diff", "--name-status", worktree.base_commit, worktree.branch
    )
    return [line.replace("\t", " ") for line in lines.splitlines()]


def test_new_changed_and_deleted_files_are_committed(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    odd = "new/ünï 'code' $(x)"
    write(worktree, odd)
    write(worktree, "-leading")
    write(worktree, "README.md", "changed\n")
    write(worktree, ".gitignore", "*.log\n")
    write(worktree, "noise.log")
    Path(worktree.path, "src/main.py").unlink()
    head = commit(grove, worktree)
    assert head == made.head(worktree.path) == made.head(worktree.path, worktree.branch)
    assert made.git(worktree.path, "status", "--porcelain") == ""
    assert changes(worktree) == ["A -leading", "A .gitignore", "M README.md", f"A {odd}", "D src/main.py"]
    assert made.head(worktree.path, "HEAD~") == worktree.base_commit


def test_the_message_names_task_list_and_run(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    write(worktree, "new")
    commit(grove, worktree)
    assert made.git(worktree.path, "log", "-1", "--format=%B") == (
        "Fix the login\n\n"
        'Run 2 of task k3v9m2qxw7ab in the list "The web site".\n\n'
        "Taskgrove-Task: k3v9m2qxw7ab\n"
        "Taskgrove-Run: 2"
    )
    trailers = made.git(worktree.path, "log", "-1", "--format=%(trailers:only)")
    assert trailers.splitlines() == ["Taskgrove-Task: k3v9m2qxw7ab", "Taskgrove-Run: 2"]


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("#12: fix", "#12: fix"),
        ("# ------------------------ >8 ------------------------", None),
        ("-m --amend", None),
        ("  two\n\nlines\t ", "two lines"),
        ("", "Task k3v9m2qxw7ab"),
        ("\x00\x1b[2J", "[2J"),
        ("日本語 🎉 'quoted' \"twice\" $(x)", None),
        ("é" * 500, "é" * 71 + "…"),
    ],
)
def test_the_title_is_the_subject(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, title: str, subject: str | None
) -> None:
    made.git(repository, "config", "commit.cleanup", "strip")
    made.git(repository, "config", "i18n.commitEncoding", "latin1")
    write(worktree, "new")
    commit(grove, worktree, title)
    assert made.git(worktree.path, "log", "-1", "--format=%s", "--encoding=utf-8") == (subject or title)
    if len(title) > 72:
        assert title in made.git(worktree.path, "log", "-1", "--format=%b", "--encoding=utf-8")


def test_the_author_is_the_configured_one(repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.git(repository, "config", "user.name", "The user")
    made.git(repository, "config", "user.email", "user@example.org")
    monkeypatch.setenv("EMAIL", "environment@example.org")
    grove = worktrees.Worktrees(tmp_path / "worktrees", commits.Author("Bøt", "bot@example.org"))
    worktree = grove.create(repository, TASK, "Fix the login")
    write(worktree, "new")
    commit(grove, worktree)
    people = made.git(worktree.path, "log", "-1", "--format=%an <%ae>, %cn <%ce>")
    assert people == "Bøt <bot@example.org>, Bøt <bot@example.org>"


def test_no_identity_is_needed(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    made.git(repository, "config", "user.useConfigOnly", "true")
    write(worktree, "new")
    commit(grove, worktree)
    people = made.git(worktree.path, "log", "-1", "--format=%an <%ae>, %cn <%ce>")
    assert people == "Taskgrove <taskgrove@localhost>, Taskgrove <taskgrove@localhost>"


def test_nothing_to_commit_returns_the_head_as_it_is(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    assert commit(grove, worktree) == worktree.base_commit
    theirs = made.commit(worktree.path, {"work": "work"}, "The agent's own commit")
    assert commit(grove, worktree) == theirs
    os.utime(Path(worktree.path, "work"), (1, 1))
    assert commit(grove, worktree) == theirs


def test_nothing_signs_edits_or_hooks(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Path(repository).with_name("slow")
    slow.write_text(f"#!/bin/sh\ntouch '{slow}.ran'\nsleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-index-change"):
        shutil.copy(slow, Path(repository, ".git/hooks", name))
    for setting in ("core.editor", "gpg.program", "core.askPass", "sequence.editor"):
        made.git(repository, "config", setting, str(slow))
    made.git(repository, "config", "commit.gpgSign", "true")
    made.git(repository, "config", "commit.verbose", "true")
    for name in ("EDITOR", "VISUAL", "GIT_EDITOR", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(slow))
    write(worktree, "new")
    start = time.monotonic()
    commit(grove, worktree)
    assert time.monotonic() - start < 20
    assert changes(worktree) == ["A new"]
    assert not slow.with_name("slow.ran").exists()


def test_hooks_outside_the_repository_do_not_run_either(
    grove: worktrees.Worktrees, worktree: Worktree, tmp_path: Path
) -> None:
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    (tmp_path / "home/.gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n", encoding="utf-8")
    write(worktree, "new")
    commit(grove, worktree)
    assert changes(worktree) == ["A new"]


def test_locks_of_a_killed_git_are_no_obstacle(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    own = Path(made.git(worktree.path, "rev-parse", "--absolute-git-dir"))
    for lock in ("index.lock", "HEAD.lock", f"../../refs/heads/{worktree.branch}.lock"):
        (own / lock).touch()
    write(worktree, "new")
    commit(grove, worktree)
    assert changes(worktree) == ["A new"]


def test_a_lock_in_the_users_checkout_is_left_alone(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    lock = Path(repository, ".git/index.lock")
    lock.touch()
    write(worktree, "new")
    commit(grove, worktree)
    assert lock.exists()


def test_a_repository_inside_becomes_a_link_and_one_without_a_commit_is_left_out(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "config", "diff.ignoreSubmodules", "all")
    made.make_repository(Path(worktree.path, "vendor/inner"))
    assert commit(grove, worktree) != worktree.base_commit
    made.make_empty_repository(Path(worktree.path, "empty ü'1"))
    made.make_empty_repository(Path(worktree.path, "deep/down/*"))
    write(worktree, "deep/down/empty/file")
    write(worktree, "new")
    commit(grove, worktree)
    tree = made.git(worktree.path, "ls-tree", "-r", "--format=%(objecttype) %(path)", "HEAD").splitlines()
    assert tree == [
        "blob README.md",
        "blob deep/down/empty/file",
        "blob new",
        "blob src/main.py",
        "commit vendor/inner",
    ]


def test_files_outside_a_sparse_checkout_are_committed(
    grove: worktrees.Worktrees, repository: str, tmp_path: Path
) -> None:
    made.git(repository, "sparse-checkout", "set", "docs")
    worktree = grove.create(repository, TASK, "Fix the login")
    assert not Path(worktree.path, "src").exists()
    write(worktree, "other/new")
    commit(grove, worktree)
    assert changes(worktree) == ["A other/new"]


def test_line_endings_are_no_obstacle(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    made.git(repository, "config", "core.autocrlf", "input")
    made.git(repository, "config", "core.safecrlf", "true")
    Path(worktree.path, "windows.txt").write_bytes(b"a\r\nb\r\n")
    commit(grove, worktree)
    assert changes(worktree) == ["A windows.txt"]


def test_an_unfinished_merge_is_concluded_with_both_parents(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.commit(worktree.path, {"README.md": "ours\n"}, "Ours")
    theirs = made.commit(repository, {"README.md": "theirs\n"}, "Theirs")
    with pytest.raises(AssertionError):
        made.git(worktree.path, "merge", "main")
    head = commit(grove, worktree)
    assert made.git(worktree.path, "rev-parse", f"{head}^2") == theirs


def test_an_unfinished_cherry_pick_is_committed_by_the_configured_author(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.commit(worktree.path, {"README.md": "ours\n"}, "Ours")
    made.commit(repository, {"README.md": "theirs\n"}, "Theirs")
    with pytest.raises(AssertionError):
        made.git(worktree.path, "cherry-pick", "main")
    commit(grove, worktree)
    assert made.git(worktree.path, "log", "-1", "--format=%an %s") == "Taskgrove Fix the login"


def test_the_branch_follows_a_head_that_the_agent_detached(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    made.git(worktree.path, "checkout", "--quiet", "--detach")
    made.commit(worktree.path, {"work": "work"}, "Work")
    write(worktree, "new")
    head = commit(grove, worktree)
    assert made.head(worktree.path, worktree.branch) == head
    assert changes(worktree) == ["A new", "A work"]


@pytest.mark.parametrize("how", ["switched", "renamed"])
def test_the_branch_follows_to_a_branch_of_the_agents(grove: worktrees.Worktrees, worktree: Worktree, how: str) -> None:
    arguments = ("checkout", "--quiet", "-b") if how == "switched" else ("branch", "--move")
    made.git(worktree.path, *arguments, "agents-own")
    write(worktree, "new")
    head = commit(grove, worktree)
    assert made.head(worktree.path, "agents-own") == head
    assert made.head(worktree.path, worktree.branch) == head


def test_the_branch_stays_where_its_commits_would_be_lost(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    work = made.commit(worktree.path, {"work": "work"}, "Work")
    made.git(worktree.path, "checkout", "--quiet", "--detach", worktree.base_commit)
    write(worktree, "new")
    head = commit(grove, worktree)
    assert made.head(worktree.path, worktree.branch) == work
    assert made.head(worktree.path) == head
    assert made.head(worktree.path, f"{head}~") == worktree.base_commit


def test_the_branch_stays_while_the_user_has_it_checked_out(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(worktree.path, "checkout", "--quiet", "--detach")
    made.git(repository, "checkout", "--quiet", worktree.branch)
    write(worktree, "new")
    assert commit(grove, worktree) == made.head(worktree.path)
    assert made.head(repository, worktree.branch) == worktree.base_commit
    assert made.git(repository, "status", "--porcelain") == ""


def test_a_branch_without_a_commit_gets_its_first(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    made.git(worktree.path, "checkout", "--quiet", "--orphan", "fresh")
    write(worktree, "new")
    assert commit(grove, worktree) == made.head(worktree.path, "fresh")


def test_a_failure_says_what_git_says_and_loses_nothing(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "config", "filter.broken.clean", "echo no key for https://ann:secret@host/ >&2; exit 1")
    made.git(repository, "config", "filter.broken.required", "true")
    write(worktree, ".gitattributes", "*.bin filter=broken\n")
    file = write(worktree, "data.bin")
    with pytest.raises(commits.CommitFailed, match="clean filter 'broken' failed") as failure:
        commit(grove, worktree)
    assert "https://***@host/" in str(failure.value)
    assert file.exists()
    assert made.head(worktree.path) == worktree.base_commit
    made.git(repository, "config", "filter.broken.clean", "cat")
    commit(grove, worktree)
    assert changes(worktree) == ["A .gitattributes", "A data.bin"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_an_unreadable_file_is_a_failure_that_names_it(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    write(worktree, "closed").chmod(0)
    with pytest.raises(commits.CommitFailed, match=r"closed.*Permission denied"):
        commit(grove, worktree)


def test_a_commit_that_takes_too_long_is_stopped_and_can_be_done_again(
    repository: str, worktree: Worktree, tmp_path: Path, grove: worktrees.Worktrees
) -> None:
    made.git(repository, "config", "filter.slow.clean", "sleep 60")
    write(worktree, ".gitattributes", "*.bin filter=slow\n")
    write(worktree, "data.bin")
    impatient = worktrees.Worktrees(tmp_path / "data/worktrees", commits.Author(), timeout=0.5)
    start = time.monotonic()
    with pytest.raises(commits.CommitFailed, match=r"'git add' did not finish within 0\.5 seconds and was stopped"):
        commit(impatient, worktree)
    assert time.monotonic() - start < 20
    made.git(repository, "config", "filter.slow.clean", "cat")
    commit(grove, worktree)
    assert changes(worktree) == ["A .gitattributes", "A data.bin"]


def test_a_worktree_that_is_gone_is_a_failure_and_no_other_repository_is_used(
    grove: worktrees.Worktrees, worktree: Worktree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = made.make_repository(tmp_path / "around")
    monkeypatch.chdir(around)
    made.git(tmp_path / "data", "init", "--quiet")
    (around / "new").write_text("new", encoding="utf-8")
    shutil.rmtree(worktree.path)
    with pytest.raises(commits.CommitFailed, match=r"No such file|not a git repository"):
        commit(grove, worktree)
    assert made.git(around, "status", "--porcelain") == "?? new"
    assert made.git(tmp_path / "data", "status", "--porcelain", "--untracked-files=no") == ""


def test_a_worktree_whose_repository_is_not_known_and_that_became_one_of_its_own_is_a_failure(
    grove: worktrees.Worktrees, worktree: Worktree
) -> None:
    Path(worktree.path, ".git").unlink()
    made.git(worktree.path, "init", "--quiet")
    worktree = dataclasses.replace(worktree, common_dir=None)
    with pytest.raises(commits.CommitFailed, match="is a repository of its own now"):
        commit(grove, worktree)
