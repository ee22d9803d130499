"""What is read of a repository by plumbing is what is in it, whatever wrote it and whatever git is told."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import repositories
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import changes, commands, commits, saving
from taskgrove_server.worktrees import repositories as inspected
from taskgrove_server.worktrees.commits import Author
from taskgrove_server.worktrees.worktrees import Worktrees

TASK = TaskId("k3v9m2qxw7ab")


@pytest.fixture
def git() -> commands.Git:
    # As the server has it: without one of its own, git refuses to make commits on some machines.
    return commands.Git(timeout=60, environment=commits.Author().environment)


def _commit(repository: Path, raw: bytes) -> str:
    """Writes a commit as it is given, with the repository's tree and its head as the parent."""
    tree = repositories.head(repository, "HEAD").encode()
    head = [b"tree " + repositories.git(repository, "rev-parse", "HEAD^{tree}").encode(), b"parent " + tree]
    path = repository.parent / "raw"
    path.write_bytes(b"\n".join([*head, raw]))
    return repositories.git(repository, "hash-object", "-t", "commit", "-w", "--literally", str(path))


SIGNED_BY = b"author A <a@example.org> 1700000000 +0200\ncommitter C <c@example.org> 1700000060 +0000\n"


def test_a_commit_in_another_encoding_is_read_in_utf8(git: commands.Git, repository: Path) -> None:
    author = "author Jörg <j@example.org> 1700000000 +0200\ncommitter C <c@example.org> 1700000060 +0000\n"
    commit = _commit(repository, f"{author}encoding ISO-8859-1\n\nGrüße\nund mehr\n\nÄ\n\nÖ\n".encode("latin-1"))
    (found,) = changes.commits(git, str(repository), commit, ("HEAD",), 0, 10)
    assert (found.id, found.author_name, found.subject, found.body) == (commit, "Jörg", "Grüße und mehr", "Ä\n\nÖ")
    assert found.author_time == datetime.fromtimestamp(1700000000, UTC)
    assert found.commit_time == datetime.fromtimestamp(1700000060, UTC)


@pytest.mark.parametrize(
    ("raw", "subject", "body"),
    [
        (SIGNED_BY + b"\n", "", ""),
        (SIGNED_BY + b"\n\n\nLate\n", "Late", ""),
        (SIGNED_BY + b"\nOne\n\n%H%x00\n", "One", "%H%x00"),
        (SIGNED_BY + b"gpgsig -----BEGIN\n \n author Not <me> 1 +0000\n -----END\n\nSigned\n", "Signed", ""),
        (SIGNED_BY + b"encoding nonsense\n\nOdd \xff\n", "Odd \udcff", ""),
        (SIGNED_BY + b"\nBroken \xff\n", "Broken \udcff", ""),
        (SIGNED_BY + b"\nHidden\0 rest\n\nBody\n", "Hidden", ""),
        (SIGNED_BY + b"\nNo newline", "No newline", ""),
        (SIGNED_BY + b"\nTabs\tand\rreturns\n\n  indented\n", "Tabs\tand\rreturns", "  indented"),
    ],
)
def test_commits_of_every_form_are_read(
    git: commands.Git, repository: Path, raw: bytes, subject: str, body: str
) -> None:
    odd = _commit(repository, raw)
    repositories.git(repository, "reset", "--quiet", "--soft", odd)
    plain = _commit(repository, SIGNED_BY + b"\nPlain\n")
    newest, found = changes.commits(git, str(repository), plain, (f"{odd}^",), 0, 10)
    assert (newest.id, newest.subject, newest.parents) == (plain, "Plain", (odd,))
    assert (found.id, found.subject, found.body, found.author_name) == (odd, subject, body, "A")


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        (b"author A <a@example.org> 99999999999999 +0000", datetime.max.replace(microsecond=0, tzinfo=UTC)),
        (b"author A <a@example.org>", datetime.fromtimestamp(0, UTC)),
        (b"author  <> 0 +0000", datetime.fromtimestamp(0, UTC)),
    ],
)
def test_commits_of_no_time_are_read(git: commands.Git, repository: Path, author: bytes, expected: datetime) -> None:
    commit = _commit(repository, author + b"\ncommitter C <c@example.org> 1700000060 +0000\n\nOdd\n")
    (found,) = changes.commits(git, str(repository), commit, ("HEAD",), 0, 10)
    assert (found.subject, found.author_time) == ("Odd", expected)


def test_commits_are_paged_from_anywhere(git: commands.Git, repository: Path) -> None:
    ids = [repositories.commit(repository, {"file": str(number)}, f"Commit {number}") for number in range(5)]
    found = changes.commits(git, str(repository), "HEAD", (f"{ids[0]}^",), 1, 3)
    assert [one.id for one in found] == ids[3:0:-1]
    assert changes.commits(git, str(repository), "HEAD", (f"{ids[0]}^",), 5, 3) == []


def test_saved_work_is_found_whatever_git_prints_for_people(git: commands.Git, repository: Path) -> None:
    for setting in ("i18n.logOutputEncoding=UTF-16", "log.showSignature=true", "format.pretty=%an"):
        repositories.git(repository, "config", *setting.split("="))
    head, tree = repositories.head(repository), repositories.git(repository, "rev-parse", "HEAD^{tree}")
    path = str(repository)
    for snapshot in (None, tree):
        saved = saving.save(git, path, TASK, head, snapshot)
        assert saving.Saved.find(git, path, saved.ref) == saved
        assert saved.is_snapshot == (snapshot is not None)
    assert saving.Saved.find(git, path, f"{saving.REFS}{TASK}/7") is None
    assert saving.Saved.find(git, path, f"{saving.REFS}{TASK}") is None
    assert saving.Saved.find(git, path, None) is None


def test_saved_work_is_whole(git: commands.Git, repository: Path) -> None:
    head, path = repositories.head(repository), str(repository)
    (repository / "later").write_text("later\n")
    blob = repositories.git(repository, "hash-object", "-w", "later")
    repositories.git(repository, "update-index", "--add", "later")
    repositories.git(repository, "update-index", "--cacheinfo", f"100644,{blob},later")
    saved = saving.save(git, path, TASK, head, repositories.git(repository, "write-tree"))
    saving.verify(git, path, saved, [head])
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(commands.GitFailed, match=blob):
        saving.verify(git, path, saved, [head])
    assert saving.Saved.find(git, path, saved.ref) is None


def test_what_was_saved_is_no_snapshot_of_itself(git: commands.Git, repository: Path) -> None:
    head, tree = repositories.head(repository), repositories.git(repository, "rev-parse", "HEAD^{tree}")
    path = str(repository)
    first = saving.save(git, path, TASK, head, tree)
    second = saving.save(git, path, TASK, first.commit, None)
    assert second.ref != first.ref
    assert saving.Saved.find(git, path, second.ref) == second
    assert second.head == first.commit


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        ((), {"GIT_SSL_NO_VERIFY", "GIT_SSH_COMMAND", "GIT_CONFIG_NOSYSTEM"}),
        (
            ("GIT_LFS_*", "GIT_TRACE"),
            {"GIT_SSL_NO_VERIFY", "GIT_SSH_COMMAND", "GIT_CONFIG_NOSYSTEM", "GIT_LFS_SKIP_SMUDGE"},
        ),
        (
            ("GIT_*", "*"),
            {"GIT_SSL_NO_VERIFY", "GIT_SSH_COMMAND", "GIT_CONFIG_NOSYSTEM", "GIT_LFS_SKIP_SMUDGE", "GIT_OTHER"},
        ),
    ],
)
def test_git_gets_the_variables_that_are_named_and_none_that_lead_elsewhere(
    monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path, passed: tuple[str, ...], expected: set[str]
) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nenv > {seen}\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    repositories.isolate(monkeypatch, tmp_path / "home")
    elsewhere = repositories.make_repository(tmp_path / "elsewhere")
    local = repositories.git(repository, "rev-parse", "--local-env-vars").split()
    leading = {"GIT_NAMESPACE", "GIT_LITERAL_PATHSPECS", "GIT_EXTERNAL_DIFF", "GIT_QUARANTINE_PATH", "GIT_AUTHOR_DATE"}
    leading |= {name for name in local if not name.startswith("GIT_CONFIG_")}
    for name in leading:
        monkeypatch.setenv(name, str(elsewhere / ".git"))
    for name in ("GIT_SSL_NO_VERIFY", "GIT_SSH_COMMAND", "GIT_LFS_SKIP_SMUDGE", "GIT_OTHER"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LANGUAGE", "de")
    # Only a path: what starts git is not to read the variables by itself.
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    worktrees = Worktrees(tmp_path / "worktrees", Author(), pass_environment=passed)
    assert worktrees.git(str(repository), "rev-parse", "--show-toplevel") == str(repository)
    variables = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    own = {"GIT_TERMINAL_PROMPT", "GIT_ASKPASS", "GIT_EDITOR", "GIT_CEILING_DIRECTORIES"} | set(Author().environment)
    assert {name for name in variables if name.startswith("GIT_")} - own == expected
    # What git says is read, and shown in English.
    assert variables["LANGUAGE"] == "en"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            "[core]\nrepositoryformatversion = 1\n[extensions]\nrefstorage = reftable\n",
            "as a reftable, which git 2.45 or",
        ),
        (
            "[core]\nrepositoryformatversion = 1\n[extensions]\nweird = 1\nrelativeWorktrees = true\n",
            "'weird', which a newer git may read; it links its worktrees by relative paths, which git 2.48 or",
        ),
        ("[core]\nrepositoryformatversion = 7\n", "a later one, which a newer git reads"),
    ],
    ids=["reftable", "extensions", "version"],
)
def test_a_repository_that_git_is_too_old_for_is_refused(repository: Path, config: str, words: str) -> None:
    if "reftable" in words and tuple(map(int, inspected.git_version().split(".")[:2])) >= (2, 45):
        pytest.skip("this git reads the format")
    with (repository / ".git" / "config").open("a") as file:
        file.write(config)
    with pytest.raises(
        errors.NotARepository, match=f"the server's git {inspected.git_version()} is too old for it"
    ) as caught:
        inspected.inspect(str(repository))
    assert words in str(caught.value)
