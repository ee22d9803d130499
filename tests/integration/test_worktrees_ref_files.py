"""What is read of branches from files is what git says, and nothing where git might say something else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import layouts, repositories
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import commits, git_dirs, locks, ref_files, worktrees

TASK = TaskId("k3v9m2qxw7ab")
BRANCH = "taskgrove/k3v9m2qxw7ab-fix-the-login"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    repositories.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return repositories.make_repository(tmp_path / "project")


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "worktrees", commits.Author(), timeout=30)


def read(checkout: Path) -> str | None:
    dirs = git_dirs.read(str(checkout))
    assert dirs is not None
    return ref_files.start(dirs, BRANCH)


def pack(repository: Path) -> None:
    repositories.git(repository, "pack-refs", "--all")


def pack_many(repository: Path) -> None:
    head = repositories.head(repository)
    orders = "".join(f"create refs/heads/{name} {head}\n" for name in ("a/main", "main2", "mai", "z", f"{BRANCH}-2"))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=repository, input=orders.encode(), check=True)
    repositories.git(repository, "tag", "--annotate", "--message", "x", "tagged")
    pack(repository)


def pack_and_move(repository: Path) -> None:
    pack(repository)
    repositories.commit(repository, {"new": "new\n"}, "Second")


def detach(repository: Path) -> None:
    repositories.git(repository, "checkout", "--quiet", "--detach")


def be_on_a_branch_below(repository: Path) -> None:
    repositories.git(repository, "checkout", "--quiet", "-b", "größe/of/it")


def link_head(repository: Path) -> None:
    (repository / ".git" / "HEAD").unlink()
    (repository / ".git" / "HEAD").symlink_to("refs/heads/main")


CERTAIN: list[Callable[[Path], None]] = [pack, pack_many, pack_and_move, detach, be_on_a_branch_below, link_head]


@pytest.mark.parametrize("arrange", CERTAIN)
def test_the_commit_at_head_is_read(repository: Path, arrange: Callable[[Path], None]) -> None:
    arrange(repository)
    assert read(repository) == repositories.head(repository)


@pytest.mark.parametrize("layout", list(layouts.LAYOUTS))
def test_the_commit_at_head_is_read_in_every_layout(tmp_path: Path, layout: str) -> None:
    checkout = layouts.LAYOUTS[layout](tmp_path / "place")
    assert read(checkout) == repositories.head(checkout)


def test_ids_of_64_digits_are_read(tmp_path: Path) -> None:
    repositories.git(tmp_path, "init", "--quiet", "--object-format=sha256", "long")
    repositories.commit(tmp_path / "long", repositories.FILES, "First")
    assert read(tmp_path / "long") == repositories.head(tmp_path / "long")


def have_the_branch(repository: Path) -> None:
    repositories.git(repository, "branch", BRANCH)


def have_the_branch_packed(repository: Path) -> None:
    have_the_branch(repository)
    pack(repository)


def have_branches_below(repository: Path) -> None:
    repositories.git(repository, "branch", f"{BRANCH}/below")


def have_no_commit(repository: Path) -> None:
    repositories.git(repository, "checkout", "--quiet", "--orphan", "empty")


def have_a_branch_that_stands_for_another(repository: Path) -> None:
    repositories.git(repository, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/alias\n")


def have_a_branch_that_is_a_link(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "alias").symlink_to("refs/heads/main")
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/alias\n")


def be_at_no_branch(repository: Path) -> None:
    repositories.git(repository, "update-ref", "refs/elsewhere", "HEAD")
    (repository / ".git" / "HEAD").write_text("ref: refs/elsewhere\n")


def have_a_damaged_branch(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "main").write_text("")


def have_a_damaged_head(repository: Path) -> None:
    (repository / ".git" / "HEAD").write_bytes(b"\xff\n")


def have_a_table_cut_off(repository: Path) -> None:
    pack(repository)
    table = repository / ".git" / "packed-refs"
    table.write_bytes(table.read_bytes().rstrip(b"\n"))


def have_a_large_table(repository: Path) -> None:
    pack(repository)
    with (repository / ".git" / "packed-refs").open("a") as table:
        head = repositories.head(repository)
        table.writelines(f"{head} refs/tags/{number:09}\n" for number in range(20_000))


def keep_refs_elsewhere(repository: Path) -> None:
    with (repository / ".git" / "config").open("a") as config:
        config.write("[Extensions]\n\trefStorage = reftable\n")


UNCERTAIN: list[Callable[[Path], None]] = [
    have_the_branch,
    have_the_branch_packed,
    have_branches_below,
    have_no_commit,
    have_a_branch_that_stands_for_another,
    have_a_branch_that_is_a_link,
    be_at_no_branch,
    have_a_damaged_branch,
    have_a_damaged_head,
    have_a_table_cut_off,
    have_a_large_table,
    keep_refs_elsewhere,
]


@pytest.mark.parametrize("arrange", UNCERTAIN)
def test_nothing_is_read_where_git_has_to_be_asked(repository: Path, arrange: Callable[[Path], None]) -> None:
    arrange(repository)
    assert read(repository) is None


def listed(repository: Path) -> str | None:
    return ref_files.listing(str(repository / ".git"), KINDS)


def listed_by_git(repository: Path) -> str:
    form = "--format=%(HEAD)%(objectname) %(refname)"
    return (
        subprocess.run(["git", "for-each-ref", form, *KINDS], cwd=repository / ".git", capture_output=True, check=True)
        .stdout.decode()
        .removesuffix("\n")
    )


KINDS = ("refs/heads/", "refs/tags/", "refs/replace/", "refs/stash")


def have_all_kinds(repository: Path) -> None:
    pack_many(repository)
    repositories.commit(repository, {"new": "new\n"}, "Second")
    repositories.git(repository, "replace", "HEAD", "HEAD^")
    repositories.git(repository, "tag", "--annotate", "--message", "x", "v1.0.0-rc.1+build")
    repositories.git(repository, "branch", "--delete", "--force", "z", "a/main")
    repositories.git(repository, "branch", "a")
    (repository / "new").write_text("newer\n")
    repositories.git(repository, "stash")
    # None of these kinds, and so nothing to stumble over.
    repositories.git(repository, "update-ref", "refs/taskgrove/saved/x/1", "HEAD")
    repositories.git(repository, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


def have_a_packed_stash(repository: Path) -> None:
    (repository / "README.md").write_text("changed\n")
    repositories.git(repository, "stash")
    pack(repository)


@pytest.mark.parametrize(
    "arrange",
    [pack, pack_many, pack_and_move, detach, link_head, have_no_commit, have_all_kinds, have_a_packed_stash],
)
def test_refs_are_listed_as_git_lists_them(repository: Path, arrange: Callable[[Path], None]) -> None:
    arrange(repository)
    assert listed(repository) == listed_by_git(repository)


def have_a_lock(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "main.lock").write_text(repositories.head(repository))


def have_a_hidden_file(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / ".DS_Store").write_text("x")


def have_a_name_that_git_refuses(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "a..b").write_text(repositories.head(repository))


def have_a_link_to_a_directory(repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "linked").symlink_to(repository / ".git" / "refs" / "tags")


def have_many_branches(repository: Path) -> None:
    head = repositories.head(repository)
    orders = "".join(f"create refs/heads/b{number} {head}\n" for number in range(101))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=repository, input=orders.encode(), check=True)


def have_a_damaged_table(repository: Path) -> None:
    (repository / ".git" / "packed-refs").write_text("nonsense\n")


def have_no_objects(repository: Path) -> None:
    (repository / ".git" / "objects").rename(repository / ".git" / "moved")


@pytest.mark.parametrize(
    "arrange",
    [
        be_on_a_branch_below,
        have_a_branch_that_stands_for_another,
        have_a_branch_that_is_a_link,
        have_a_damaged_branch,
        have_a_damaged_head,
        have_a_table_cut_off,
        have_a_large_table,
        keep_refs_elsewhere,
        have_a_lock,
        have_a_hidden_file,
        have_a_name_that_git_refuses,
        have_a_link_to_a_directory,
        have_many_branches,
        have_a_damaged_table,
        have_no_objects,
    ],
)
def test_no_refs_are_listed_where_git_has_to_be_asked(repository: Path, arrange: Callable[[Path], None]) -> None:
    arrange(repository)
    assert listed(repository) is None


def test_a_branch_that_stands_for_another_is_started_from(grove: worktrees.Worktrees, repository: Path) -> None:
    have_a_branch_that_stands_for_another(repository)
    made = grove.create(str(repository), TASK, "Fix the login")
    assert (made.branch, made.base_commit) == (BRANCH, repositories.head(repository))


def test_a_commit_that_is_not_there_is_told_as_git_tells_it(grove: worktrees.Worktrees, repository: Path) -> None:
    (repository / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    assert read(repository) == "1" * 40
    with pytest.raises((errors.RepositoryEmpty, locks.WorktreeFailed)):
        grove.create(str(repository), TASK, "Fix the login")
    assert not os.path.lexists(repository / ".git" / "refs" / "heads" / BRANCH)
    assert len(repositories.worktree_paths(repository)) == 0


def test_git_is_asked_nothing_before_a_worktree_at_head(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    grove = worktrees.Worktrees(tmp_path / "traced", commits.Author(), timeout=30, pass_environment=["GIT_TRACE2"])
    monkeypatch.setenv("GIT_TRACE2", str(trace))
    grove.create(str(repository), TASK, "Fix the login")
    names = [line.split("cmd_name ")[1].split()[0] for line in trace.read_text().splitlines() if "cmd_name " in line]
    assert names[0] == "worktree", names
