"""What git's conversions change in files stays out of commits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commits, staging, worktrees

TASK = TaskId("k3v9m2qxw7ab")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "worktrees", commits.Author(), timeout=30)


def raw_repository(path: Path, attributes: str, content: bytes, files: int = 30) -> str:
    """Makes a repository whose files are stored as its attributes, which came later, would not store them."""
    repository = made.make_repository(path)
    for number in range(files):
        (repository / f"{number}.txt").write_bytes(content)
    made.commit(repository, {}, "Files")
    (repository / ".gitattributes").write_text(attributes)
    made.git(repository, "config", "filter.up.clean", "tr a-z A-Z")
    made.git(repository, "config", "filter.up.smudge", "cat")
    made.git(repository, "add", ".gitattributes")
    made.git(repository, "commit", "-qm", "Attributes")
    return str(repository)


def look_again(worktree: Worktree) -> None:
    """Has git compare contents instead of trusting what it remembers of files."""
    for file in Path(worktree.path).glob("*.txt"):
        os.utime(file, (1, 1))


def commit(grove: worktrees.Worktrees, worktree: Worktree) -> str:
    return grove.commit(worktree, title="Edit", task_id=TASK, task_list_title="List", run_number=1)


RAW = pytest.mark.parametrize(
    ("attributes", "content", "more"),
    [
        ("*.txt text\n", b"one\r\ntwo\r\n", b"three\r\n"),
        ("*.txt text\n", b"one\r\ntwo\r\n", b"three\n"),
        ("*.txt text eol=crlf\n", b"one\r\ntwo\r\n", b"three\r\n"),
        ("*.txt filter=up\n", b"one\ntwo\n", b"three\n"),
        ("*.txt working-tree-encoding=UTF-8 text\n", b"one\r\ntwo\r\n", b"three\r\n"),
    ],
)


@RAW
def test_a_commit_has_what_was_edited_and_no_renormalised_files(
    grove: worktrees.Worktrees, tmp_path: Path, attributes: str, content: bytes, more: bytes
) -> None:
    repository = raw_repository(tmp_path / "project", attributes, content)
    worktree = grove.create(repository, TASK, "Edit")
    look_again(worktree)
    with Path(worktree.path, "7.txt").open("ab") as file:
        file.write(more)
    assert staging.uncommitted(grove.git, worktree) == ["7.txt"]
    snapshot = staging.snapshot(grove.git, worktree)
    head = commit(grove, worktree)
    assert made.git(repository, "rev-parse", f"{head}^{{tree}}") == snapshot
    # What a filter makes of an edited file, it alone may say.
    lines = "3\t2" if "filter" in attributes else "1\t0"
    assert made.git(repository, "diff", "--numstat", worktree.base_commit, head) == f"{lines}\t7.txt"
    assert staging.uncommitted(grove.git, worktree) == []


@RAW
def test_nothing_is_committed_where_nothing_was_edited(
    grove: worktrees.Worktrees, tmp_path: Path, attributes: str, content: bytes, more: bytes
) -> None:
    worktree = grove.create(raw_repository(tmp_path / "project", attributes, content), TASK, "Edit")
    look_again(worktree)
    assert more
    assert staging.uncommitted(grove.git, worktree) == []
    assert commit(grove, worktree) == worktree.base_commit


def test_a_file_that_was_deleted_or_made_executable_counts(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    repository = raw_repository(tmp_path / "project", "*.txt text\n", b"one\r\n", files=3)
    worktree = grove.create(repository, TASK, "Edit")
    look_again(worktree)
    Path(worktree.path, "0.txt").unlink()
    Path(worktree.path, "1.txt").chmod(0o755)
    assert staging.uncommitted(grove.git, worktree) == ["0.txt", "1.txt"]
    head = commit(grove, worktree)
    assert (
        made.git(repository, "diff", "--summary", worktree.base_commit, head).splitlines()
        == [
            " delete mode 100644 0.txt",
            " mode change 100644 => 100755 1.txt",
        ]
        or made.git(repository, "diff", "--name-status", worktree.base_commit, head) == "D\t0.txt\nM\t1.txt"
    )


def test_renormalising_by_the_agent_counts(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    repository = raw_repository(tmp_path / "project", "*.txt text\n", b"one\r\ntwo\r\n", files=2)
    worktree = grove.create(repository, TASK, "Edit")
    Path(worktree.path, "0.txt").write_bytes(b"one\ntwo\n")
    head = commit(grove, worktree)
    assert made.git(repository, "diff", "--numstat", worktree.base_commit, head) == "2\t2\t0.txt"
    made.git(worktree.path, "add", "--renormalize", ".")
    made.git(worktree.path, "commit", "-qm", "Renormalise")
    assert commit(grove, worktree) == made.head(worktree.path)


def test_files_that_come_converted_are_committed_as_usual(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project", {".gitattributes": "*.txt text eol=crlf\n", "a.txt": "a\n"})
    worktree = grove.create(str(repository), TASK, "Edit")
    file = Path(worktree.path, "a.txt")
    assert file.read_bytes() == b"a\r\n"
    file.write_bytes(b"a\r\nb\r\n")
    head = commit(grove, worktree)
    assert made.git(repository, "show", f"{head}:a.txt") == "a\nb"


def test_no_filter_is_asked_for_what_it_may_have_to_fetch(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    repository = made.make_repository(
        tmp_path / "project", {".gitattributes": "*.big filter=far\n", "a.big": "POINTER\n"}
    )
    asked = tmp_path / "asked"
    made.git(repository, "config", "filter.far.clean", "cat > /dev/null; echo NEW POINTER")
    made.git(repository, "config", "filter.far.smudge", f"touch '{asked}'; cat > /dev/null; echo fetched")
    made.git(repository, "config", "filter.far.required", "true")
    worktree = grove.create(str(repository), TASK, "Edit")
    asked.unlink()
    Path(worktree.path, "a.big").write_text("edited")
    assert staging.uncommitted(grove.git, worktree) == ["a.big"]
    head = commit(grove, worktree)
    assert made.git(repository, "show", f"{head}:a.big") == "NEW POINTER"
    assert not asked.exists()
