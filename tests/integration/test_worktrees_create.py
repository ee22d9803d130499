"""Each task gets a worktree and a branch of its own, whatever the repository, the title and the moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain import ids
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees import commits, locks, names, worktrees

TASK = TaskId("k3v9m2qxw7ab")
BRANCH = "taskgrove/k3v9m2qxw7ab-fix-the-login"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> str:
    return str(made.make_repository(tmp_path / "project"))


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "dät ä" / "worktrees", commits.Author(), timeout=30)


def test_a_worktree_has_the_files_of_head_on_a_branch_of_its_own(
    grove: worktrees.Worktrees, repository: str, tmp_path: Path
) -> None:
    worktree = grove.create(repository, TASK, "Fix the login")
    assert worktree.path == os.path.realpath(tmp_path / "dät ä/worktrees" / TASK)
    assert worktree.branch == BRANCH
    assert worktree.base_commit == made.head(repository)
    assert worktree.head_commit is None
    assert made.git(worktree.path, "status", "--porcelain=2", "--branch").splitlines() == [
        f"# branch.oid {worktree.base_commit}",
        f"# branch.head {BRANCH}",
    ]
    for name, text in made.FILES.items():
        assert Path(worktree.path, name).read_text(encoding="utf-8") == text


def test_the_users_checkout_is_never_touched(grove: worktrees.Worktrees, repository: str) -> None:
    Path(repository, "README.md").write_text("being edited", encoding="utf-8")
    Path(repository, "staged").write_text("staged", encoding="utf-8")
    made.git(repository, "add", "staged")
    Path(repository, "untracked").write_text("untracked", encoding="utf-8")

    def picture() -> tuple[str, str, str, bytes]:
        status = made.git(repository, "status", "--porcelain=2", "--branch")
        reflog = made.git(repository, "reflog")
        return status, made.git(repository, "stash", "list"), reflog, Path(repository, ".git/config").read_bytes()

    before = picture()
    worktree = grove.create(repository, TASK, "Fix the login")
    Path(worktree.path, "new").write_text("new", encoding="utf-8")
    grove.commit(worktree, title="T", task_id=TASK, task_list_title="L", run_number=1)
    shutil.rmtree(worktree.path)
    grove.restore(repository, worktree)
    grove.discard(repository, TASK, "Fix the login")
    assert picture() == before


def test_the_base_is_head_at_the_moment_of_the_call(grove: worktrees.Worktrees, repository: str) -> None:
    first = grove.create(repository, ids.new_task_id(), "One")
    made.git(repository, "checkout", "--quiet", "-b", "feature")
    moved = made.commit(repository, {"a": "a"}, "Second")
    second = grove.create(repository, ids.new_task_id(), "Two")
    assert (second.base_commit, first.base_commit) == (moved, made.head(repository, "main"))


@pytest.mark.parametrize("kind", ["detached", "linked", "link in the path"])
def test_every_usable_kind_of_checkout_works(grove: worktrees.Worktrees, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "checkout"
    if kind == "detached":
        made.make_detached_repository(path)
    elif kind == "linked":
        bare = made.make_bare_repository(tmp_path / "bare")
        made.git(bare, "worktree", "add", "--quiet", "-b", "other", str(path))
    else:
        path.symlink_to(made.make_repository(tmp_path / "real"))
    worktree = grove.create(str(path), TASK, "Fix the login")
    assert made.head(worktree.path) == made.head(path)
    assert grove.create(str(path), TASK, "Fix the login") == worktree


def test_an_upstream_is_never_tracked(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    clone = made.make_clone(tmp_path / "clone")
    made.git(clone, "config", "branch.autoSetupMerge", "always")
    made.git(clone, "config", "branch.autoSetupRebase", "always")
    grove.create(str(clone), TASK, "Fix the login")
    assert "taskgrove" not in Path(clone, ".git/config").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [made.make_repository, made.make_clone])
def test_24_tasks_at_once_beside_discards_all_get_their_worktrees(
    grove: worktrees.Worktrees, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    repository = str(make(tmp_path / "project"))
    tasks = [ids.new_task_id() for _ in range(24)]
    done = threading.Event()

    def discard() -> int:
        count = 0
        while not done.is_set():
            grove.create(repository, TASK, "Another")
            grove.discard(repository, TASK, "Another")
            count += 1
        return count

    with ThreadPoolExecutor(25) as threads:
        discarded = threads.submit(discard)
        try:
            adding = [threads.submit(grove.create, repository, task, "Fix the login") for task in tasks]
            created = [worktree.result(timeout=60) for worktree in adding]
        finally:
            done.set()
        assert discarded.result(timeout=30) > 0
    assert made.worktree_paths(repository) == sorted(worktree.path for worktree in created)
    assert set(made.branches(repository)) == {"main", *(f"taskgrove/{task}-fix-the-login" for task in tasks)}
    assert all(made.git(worktree.path, "status", "--porcelain") == "" for worktree in created)


def test_neither_other_repositories_nor_other_tasks_of_the_same_wait_for_a_checkout(
    grove: worktrees.Worktrees, tmp_path: Path
) -> None:
    slow = made.make_repository(tmp_path / "slow")
    made.git(slow, "branch", "quick")
    made.commit(slow, {".gitattributes": "filtered filter=slow\n", "filtered": "x\n"}, "What takes long to check out")
    made.git(slow, "config", "filter.slow.smudge", f"cat '{tmp_path}/gate' > /dev/null; cat")
    other = made.make_repository(tmp_path / "other")
    os.mkfifo(tmp_path / "gate")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(grove.create, str(slow), ids.new_task_id(), "Slow", base_branch="main")
        try:
            # Opening the gate to write waits until git's filter reads from it: the first checkout is under way.
            with (tmp_path / "gate").open("wb"):
                grove.create(str(other), ids.new_task_id(), "Quick")
                quick = grove.create(str(slow), TASK, "Another", base_branch="quick")
                assert made.git(quick.path, "status", "--porcelain") == ""
                grove.discard(str(slow), TASK, "Another", base_branch="quick")
                assert not Path(quick.path).exists()
                assert not first.done()
        finally:
            (tmp_path / "gate").unlink()
            (tmp_path / "gate").write_bytes(b"")
        assert first.result(timeout=30).branch.endswith("slow")


@pytest.mark.parametrize("hook", ["exit 1", "sleep 60"])
def test_no_hook_runs(grove: worktrees.Worktrees, repository: str, hook: str) -> None:
    install_hooks(Path(repository), hook)
    start = time.monotonic()
    worktree = grove.create(repository, TASK, "Fix the login")
    Path(worktree.path, "new").write_text("new", encoding="utf-8")
    head = grove.commit(worktree, title="T", task_id=TASK, task_list_title="L", run_number=1)
    assert head != worktree.base_commit
    assert time.monotonic() - start < 20
    assert not Path(repository, "hook-ran").exists()


TITLES = {
    "Fix the login": "fix-the-login",
    "": "",
    "日本語 🎉": "",
    "🎉 Größe, naïve Café — «Ünïcødé»": "grosse-naive-cafe-unicde",
    "-rf --force": "rf-force",
    "..": "",
    "a..b.lock": "a-b-lock",
    ".lock": "lock",
    "~^:?*[\\ @{ x": "x",
    "don't say \"it's\" $(done) `now`;": "dont-say-its-done-now",
    "HEAD": "head",
    "a/b//c/": "a-b-c",
    "x" * 500: "x" * 40,
    "word " * 100: "word-word-word-word-word-word-word-word",
    "supercalifragilistic expialidocious and more": "supercalifragilistic-expialidocious-and",
    "\u0130stanbul\u2028\ufeff\u202e": "istanbul",
}


@pytest.mark.parametrize("title", TITLES)
def test_every_title_makes_a_branch_that_git_takes(grove: worktrees.Worktrees, repository: str, title: str) -> None:
    assert names.slug(title) == TITLES[title]
    worktree = grove.create(repository, TASK, title)
    assert worktree.branch == f"taskgrove/{TASK}-{TITLES[title]}".removesuffix("-")
    assert worktree.branch in made.branches(repository)
    Path(worktree.path, "new").write_text("new", encoding="utf-8")
    head = grove.commit(worktree, title=title, task_id=TASK, task_list_title=title, run_number=1)
    assert head != worktree.base_commit
    assert len(made.git(worktree.path, "log", "-1", "--format=%s")) in range(1, 73)


def test_the_branch_prefix_is_configurable_and_checked(tmp_path: Path, repository: str) -> None:
    for prefix in ("bot-", "a/b/", ""):
        task = ids.new_task_id()
        grove = worktrees.Worktrees(tmp_path / "worktrees", commits.Author(), prefix)
        assert grove.create(repository, task, "").branch == f"{prefix}{task}"
    for prefix in ("-x", "a..b/", "/", "a b", "~", "x.lock/"):
        with pytest.raises(ValueError, match="branch name"):
            worktrees.Worktrees(tmp_path / "worktrees", commits.Author(), prefix)


def test_a_branch_of_somebody_else_with_the_name_stays_and_a_number_is_added(
    grove: worktrees.Worktrees, repository: str
) -> None:
    theirs = made.git(repository, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Work of somebody else")
    made.git(repository, "branch", BRANCH, theirs)
    made.git(repository, "branch", f"{BRANCH}-2", theirs)
    worktree = grove.create(repository, TASK, "Fix the login")
    assert worktree.branch == f"{BRANCH}-3"
    assert made.head(worktree.path) == made.head(repository)
    assert made.head(repository, f"refs/heads/{BRANCH}") == theirs


def test_a_branch_with_the_name_that_is_checked_out_elsewhere_stays(
    grove: worktrees.Worktrees, repository: str
) -> None:
    made.git(repository, "checkout", "--quiet", "-b", BRANCH)
    assert grove.create(repository, TASK, "Fix the login").branch == f"{BRANCH}-2"
    assert made.git(repository, "symbolic-ref", "--short", "HEAD") == BRANCH


def test_a_directory_of_somebody_else_at_the_path_stays(
    grove: worktrees.Worktrees, repository: str, tmp_path: Path
) -> None:
    theirs = tmp_path / "dät ä/worktrees" / TASK / "file"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("precious", encoding="utf-8")
    worktree = grove.create(repository, TASK, "Fix the login")
    assert Path(worktree.path) != theirs.parent
    assert theirs.read_text(encoding="utf-8") == "precious"
    assert made.git(worktree.path, "status", "--porcelain") == ""


def test_what_an_interrupted_create_left_is_made_anew(grove: worktrees.Worktrees, repository: str) -> None:
    worktree = grove.create(repository, TASK, "Fix the login")
    entry = Path(made.git(worktree.path, "rev-parse", "--absolute-git-dir"))

    def locked_by_git() -> None:
        (entry / "locked").write_text("initializing", encoding="utf-8")

    def half_checked_out() -> None:
        locked_by_git()
        Path(worktree.path, "README.md").unlink()
        (entry / "index").unlink()

    def not_checked_out() -> None:
        Path(worktree.path, "README.md").unlink()
        (entry / "index").unlink()

    def without_head() -> None:
        locked_by_git()
        (entry / "HEAD").unlink()
        (entry / "commondir").unlink()

    def without_git_file() -> None:
        locked_by_git()
        Path(worktree.path, ".git").unlink()

    def without_directory() -> None:
        locked_by_git()
        shutil.rmtree(worktree.path)

    def only_the_branch() -> None:
        shutil.rmtree(worktree.path)
        shutil.rmtree(entry)

    def only_the_directory_of_a_deleted_branch() -> None:
        made.git(repository, "update-ref", "-d", f"refs/heads/{BRANCH}")

    def behind_the_base() -> None:
        made.commit(repository, {"more": "more"}, "More")

    for interruption in (
        locked_by_git,
        half_checked_out,
        not_checked_out,
        without_head,
        without_git_file,
        without_directory,
        only_the_branch,
        only_the_directory_of_a_deleted_branch,
        behind_the_base,
    ):
        interruption()
        again = grove.create(repository, TASK, "Fix the login")
        assert (again.path, again.branch) == (worktree.path, BRANCH), interruption.__name__
        assert again.base_commit == made.head(repository)
        assert made.git(again.path, "status", "--porcelain") == ""
        assert made.worktree_paths(repository) == [worktree.path]
        assert made.branches(repository) == ["main", BRANCH]


def test_commits_are_never_thrown_away(grove: worktrees.Worktrees, repository: str) -> None:
    first = grove.create(repository, TASK, "Fix the login")
    work = made.commit(first.path, {"work": "work"}, "Work")
    Path(first.path, "unfinished").write_text("unfinished", encoding="utf-8")
    second = grove.create(repository, TASK, "Fix the login")
    assert (second.branch, second.path) == (f"{BRANCH}-2", f"{first.path}-2")
    assert made.head(repository, BRANCH) == work
    assert Path(first.path, "unfinished").exists()


def test_a_failure_says_what_git_says_and_leaves_nothing(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    repository = make_repository_with_filter(
        tmp_path / "project", "echo 'cannot reach https://ann:secret@example.org/lfs' >&2; exit 3"
    )
    with pytest.raises(locks.WorktreeFailed) as failure:
        grove.create(str(repository), TASK, "Fix the login")
    assert "https://***@example.org/lfs" in str(failure.value)
    assert "smudge filter slow failed" in str(failure.value)
    assert "secret" not in str(failure.value)
    assert_nothing_is_left(repository, tmp_path)


def test_a_command_that_takes_too_long_is_stopped_with_its_children_and_leaves_nothing(tmp_path: Path) -> None:
    grove = worktrees.Worktrees(tmp_path / "dät ä/worktrees", commits.Author(), timeout=1)
    repository = make_repository_with_filter(tmp_path / "project", f"echo $$ > '{tmp_path}/pid'; exec sleep 60")
    start = time.monotonic()
    with pytest.raises(locks.WorktreeFailed, match="'git reset' did not finish within 1 seconds"):
        grove.create(str(repository), TASK, "Fix the login")
    assert time.monotonic() - start < 20
    assert_nothing_is_left(repository, tmp_path)
    pid = (tmp_path / "pid").read_text(encoding="utf-8").strip()
    states = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, timeout=10).stdout
    assert states.strip()[:1] in {"", "Z"}


def test_an_unusable_repository_is_named(grove: worktrees.Worktrees, tmp_path: Path) -> None:
    empty = made.make_empty_repository(tmp_path / "empty")
    with pytest.raises(locks.WorktreeFailed, match="has no commit to start from"):
        grove.create(str(empty), TASK, "Fix the login")
    with pytest.raises(locks.WorktreeFailed, match=r"'/nowhere/at all' cannot be used: .*No such file"):
        grove.create("/nowhere/at all", TASK, "Fix the login")


def test_a_repository_further_up_is_never_used(grove: worktrees.Worktrees, repository: str) -> None:
    inside = Path(repository, "src")
    with pytest.raises(locks.WorktreeFailed, match="cannot be used: fatal: not a git repository"):
        grove.create(str(inside), TASK, "Fix the login")
    assert made.branches(repository) == ["main"]


def test_git_variables_of_the_server_change_nothing(
    grove: worktrees.Worktrees, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made.make_repository(tmp_path / "other", {"other": "other"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "objects"))
    monkeypatch.setenv("GIT_NAMESPACE", "elsewhere")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "The operator")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
    worktree = grove.create(repository, TASK, "Fix the login")
    Path(worktree.path, "new").write_text("new", encoding="utf-8")
    head = grove.commit(worktree, title="T", task_id=TASK, task_list_title="L", run_number=1)
    assert made.git(repository, "log", "-1", "--format=%H %an", BRANCH) == f"{head} Taskgrove"
    assert not made.git(repository, "log", "-1", "--format=%cI", BRANCH).startswith("2001")
    assert made.branches(other) == ["main"]
    assert not (tmp_path / "index").exists()


def test_the_operators_git_config_still_counts(
    grove: worktrees.Worktrees, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[core]\n\texcludesFile = /nonexistent\n[bad\n", encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with pytest.raises(locks.WorktreeFailed, match="bad config line 3"):
        grove.create(repository, TASK, "Fix the login")


def make_repository_with_filter(path: Path, command: str) -> Path:
    """Makes a repository with one file that a shell command fills in at every checkout."""
    repository = made.make_repository(path, {".gitattributes": "filtered filter=slow\n", "filtered": "x\n"})
    made.git(repository, "config", "filter.slow.smudge", command)
    made.git(repository, "config", "filter.slow.required", "true")
    return repository


def install_hooks(repository: Path, command: str) -> None:
    """Installs every hook that an add or a commit would run."""
    for name in (
        "post-checkout",
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-index-change",
        "reference-transaction",
    ):
        hook = repository / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{repository}/hook-ran'\n{command}\n", encoding="utf-8")
        hook.chmod(0o755)


def assert_nothing_is_left(repository: Path, tmp_path: Path) -> None:
    assert made.branches(repository) == ["main"]
    assert made.worktree_paths(repository) == []
    assert list((tmp_path / "dät ä/worktrees").iterdir()) == []
