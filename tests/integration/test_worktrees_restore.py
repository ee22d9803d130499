"""A worktree that is gone is made again at the same path; one that is there is left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import commits, locks, worktrees

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


def test_a_healthy_worktree_is_left_alone(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    Path(worktree.path, "unfinished").write_text("unfinished", encoding="utf-8")
    made.git(worktree.path, "checkout", "--quiet", "--detach")
    grove.restore(repository, worktree)
    assert made.git(worktree.path, "status", "--porcelain=2", "--branch").splitlines() == [
        f"# branch.oid {worktree.base_commit}",
        "# branch.head (detached)",
        "? unfinished",
    ]


def test_locks_of_a_killed_git_are_removed(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    leave_locks(worktree)
    grove.restore(repository, worktree)
    made.commit(worktree.path, {"new": "new"}, "Works again")


@pytest.mark.parametrize("how", ["directory", "emptied", "root", "unlocked", "pruned", "removed"])
def test_a_worktree_that_is_gone_is_made_again_with_its_commits(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, how: str
) -> None:
    work = made.commit(worktree.path, {"work": "work"}, "Work")
    path = Path(worktree.path)
    if how in ("unlocked", "pruned"):
        made.git(repository, "worktree", "unlock", worktree.path)
    if how == "removed":
        made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    else:
        shutil.rmtree(path.parent if how == "root" else path)
    if how == "emptied":
        path.mkdir()
    if how == "pruned":
        made.git(repository, "worktree", "prune")
        assert made.worktree_paths(repository) == []
    grove.restore(repository, worktree)
    assert made.head(path) == work
    assert made.git(path, "symbolic-ref", "--short", "HEAD") == worktree.branch
    assert made.git(path, "status", "--porcelain") == ""
    assert made.worktree_paths(repository) == [worktree.path]


@pytest.mark.parametrize("committed", [False, True])
def test_a_branch_that_is_gone_as_well_starts_at_the_last_known_commit(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, committed: bool
) -> None:
    head = made.commit(worktree.path, {"work": "work"}, "Work") if committed else None
    made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    made.git(repository, "branch", "-D", worktree.branch)
    grove.restore(repository, Worktree(worktree.path, worktree.branch, worktree.base_commit, head_commit=head))
    assert made.head(worktree.path) == (head or worktree.base_commit)
    assert made.git(worktree.path, "symbolic-ref", "--short", "HEAD") == worktree.branch


def test_a_worktree_without_its_git_file_is_repaired_with_all_that_is_in_it(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    Path(worktree.path, "unfinished").write_text("unfinished", encoding="utf-8")
    Path(worktree.path, ".git").unlink()
    grove.restore(repository, worktree)
    assert made.git(worktree.path, "status", "--porcelain") == "?? unfinished"


def test_a_worktree_of_a_repository_that_was_moved_is_repaired(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    moved = Path(repository).rename(f"{repository} elsewhere")
    grove.restore(str(moved), worktree)
    assert made.git(worktree.path, "status", "--porcelain") == ""


def test_something_else_at_the_path_is_neither_used_nor_removed(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    made.make_repository(Path(worktree.path), {"precious": "precious"})
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.restore(repository, worktree)
    assert Path(worktree.path, "precious").exists()


def test_a_branch_that_the_user_has_checked_out_is_refused_in_gits_words(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    made.git(repository, "checkout", "--quiet", worktree.branch)
    with pytest.raises(locks.WorktreeFailed, match=f"'{worktree.branch}' is already"):
        grove.restore(repository, worktree)
    assert not Path(worktree.path).exists()
    assert made.head(repository, worktree.branch) == worktree.base_commit


def test_a_commit_that_is_gone_fails_and_leaves_nothing(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    made.git(repository, "branch", "-D", worktree.branch)
    lost = Worktree(worktree.path, worktree.branch, base_commit="1234" * 10)
    with pytest.raises(locks.WorktreeFailed, match="1234"):
        grove.restore(repository, lost)
    assert made.branches(repository) == ["main"]
    assert made.worktree_paths(repository) == []


def leave_locks(worktree: Worktree) -> None:
    """Leaves the lock files of a git that was killed in a worktree."""
    own = Path(made.git(worktree.path, "rev-parse", "--absolute-git-dir"))
    common = own.parents[1]
    for lock in (own / "index.lock", own / "HEAD.lock", common / "refs/heads" / f"{worktree.branch}.lock"):
        lock.touch()
