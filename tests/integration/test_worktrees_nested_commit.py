"""What is in repositories inside a worktree is committed with the rest, and snapshots have it as well."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
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
def repository(tmp_path: Path) -> str:
    return str(made.make_repository(tmp_path / "project"))


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "data" / "worktrees", commits.Author(), timeout=30)


@pytest.fixture
def worktree(grove: worktrees.Worktrees, repository: str) -> Worktree:
    return grove.create(repository, TASK, "Fix the login")


@pytest.fixture
def with_submodules(grove: worktrees.Worktrees, repository: str, tmp_path: Path) -> Worktree:
    """Makes a worktree in which the submodules `sub` and `deep/two` are checked out."""
    library = made.make_repository(tmp_path / "library")
    for path in ("sub", "deep/two"):
        made.git(repository, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(library), path)
    made.git(repository, "commit", "--quiet", "--message", "Submodules")
    worktree = grove.create(repository, TASK, "Fix the login")
    made.git(worktree.path, *FILE_PROTOCOL, "submodule", "--quiet", "update", "--init")
    return worktree


FILE_PROTOCOL = ("-c", "protocol.file.allow=always")


def commit(grove: worktrees.Worktrees, worktree: Worktree) -> str:
    return grove.commit(worktree, title="Fix the login", task_id=TASK, task_list_title="The web site", run_number=2)


def write(worktree: Worktree, name: str, text: str = "text\n") -> Path:
    file = Path(worktree.path, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def tree(path: str | Path, revision: str = "HEAD") -> list[str]:
    return made.git(path, "ls-tree", "-r", "--format=%(objecttype) %(path)", revision).splitlines()


def assert_complete(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    """Fails the test unless what was committed counts as committed, and nothing is left to commit."""
    assert staging.uncommitted(grove.git, worktree) == []
    head = made.head(worktree.path)
    assert staging.snapshot(grove.git, worktree) == made.git(worktree.path, "rev-parse", f"{head}^{{tree}}")
    assert commit(grove, worktree) == head


AGENTS: Mapping[str, bool] = {"with a commit": True, "unborn": False}


@pytest.mark.parametrize("is_born", AGENTS.values(), ids=AGENTS)
def test_files_of_a_repository_that_the_agent_made_are_committed(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, is_born: bool
) -> None:
    made.git(repository, "config", "diff.ignoreSubmodules", "all")
    make = made.make_repository if is_born else made.make_empty_repository
    inner = make(Path(worktree.path, "vendor/inner"))
    write(worktree, "vendor/inner/new ü\n*.txt")
    write(worktree, "vendor/inner/.gitignore", "*.log\n")
    write(worktree, "vendor/inner/noise.log")
    Path(inner, "link").symlink_to("nowhere")
    write(worktree, "vendor/inner/run").chmod(0o755)
    committed = ["README.md", "src/main.py"] if is_born else []
    names = sorted([".gitignore", "link", "new ü\n*.txt", "run", *committed])
    assert sorted(staging.uncommitted(grove.git, worktree)) == [f"vendor/inner/{name}" for name in names]
    snapshot = staging.snapshot(grove.git, worktree)
    head = commit(grove, worktree)
    assert snapshot == made.git(worktree.path, "rev-parse", f"{head}^{{tree}}")
    listed = made.git(worktree.path, "ls-tree", "-r", "-z", "--name-only", "HEAD", "vendor/").split("\0")
    assert sorted(filter(None, listed)) == [f"vendor/inner/{name}" for name in names]
    modes = made.git(
        worktree.path, "ls-tree", "--format=%(objectmode)", "HEAD", "vendor/inner/link", "vendor/inner/run"
    )
    assert modes.split() == ["120000", "100755"]
    assert_complete(grove, worktree)


def test_later_changes_in_such_a_repository_are_followed(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    inner = made.make_repository(Path(worktree.path, "inner"))
    commit(grove, worktree)
    made.git(inner, "mv", "README.md", "READ.md")
    made.git(inner, "commit", "--quiet", "--message", "Renamed")
    Path(inner, "src/main.py").unlink()
    write(worktree, "inner/new")
    assert sorted(staging.uncommitted(grove.git, worktree)) == [
        "inner/READ.md",
        "inner/README.md",
        "inner/new",
        "inner/src/main.py",
    ]
    commit(grove, worktree)
    assert tree(worktree.path) == ["blob README.md", "blob inner/READ.md", "blob inner/new", "blob src/main.py"]
    assert_complete(grove, worktree)
    shutil.rmtree(inner)
    commit(grove, worktree)
    assert tree(worktree.path) == ["blob README.md", "blob src/main.py"]


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "staged"])
def test_a_link_that_the_agent_made_to_it_gives_way_to_the_files(
    grove: worktrees.Worktrees, worktree: Worktree, is_committed: bool
) -> None:
    made.make_repository(Path(worktree.path, "inner"))
    made.git(worktree.path, "add", "--all")
    if is_committed:
        made.git(worktree.path, "commit", "--quiet", "--message", "A link")
        assert tree(worktree.path) == ["blob README.md", "commit inner", "blob src/main.py"]
    assert staging.uncommitted(grove.git, worktree)
    commit(grove, worktree)
    assert tree(worktree.path) == [
        "blob README.md",
        "blob inner/README.md",
        "blob inner/src/main.py",
        "blob src/main.py",
    ]
    assert_complete(grove, worktree)


def test_repositories_inside_such_a_repository_are_files_too(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    made.make_repository(Path(worktree.path, "one"))
    made.make_empty_repository(Path(worktree.path, "one/deep/two"))
    write(worktree, "one/deep/two/file")
    made.make_repository(Path(worktree.path, "one/deep/two/three"))
    commit(grove, worktree)
    assert "blob one/deep/two/file" in tree(worktree.path)
    assert "blob one/deep/two/three/src/main.py" in tree(worktree.path)
    assert_complete(grove, worktree)


def test_what_git_takes_for_no_repository_is_plain_files(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    write(worktree, "fake/.git/config", "[core]\n")
    write(worktree, "fake/file")
    write(worktree, "pointer/.git", "gitdir: /nowhere\n")
    write(worktree, "pointer/file")
    commit(grove, worktree)
    assert tree(worktree.path) == ["blob README.md", "blob fake/file", "blob pointer/file", "blob src/main.py"]
    assert_complete(grove, worktree)


def test_the_outer_attributes_hold(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    made.git(repository, "config", "filter.shout.clean", "tr a-z A-Z")
    write(worktree, ".gitattributes", "*.txt filter=shout\n")
    inner = made.make_empty_repository(Path(worktree.path, "inner"))
    made.git(inner, "config", "filter.shout.clean", "false")
    write(worktree, "inner/a.txt", "quiet\n")
    commit(grove, worktree)
    assert made.git(worktree.path, "show", "HEAD:inner/a.txt") == "QUIET"


def test_a_copy_of_the_worktree_inside_is_files(grove: worktrees.Worktrees, worktree: Worktree) -> None:
    write(worktree, "copy/README.md", "copied\n")
    shutil.copy(Path(worktree.path, ".git"), Path(worktree.path, "copy/.git"))
    commit(grove, worktree)
    assert "blob copy/README.md" in tree(worktree.path)


@pytest.mark.parametrize("where", ["agents/x", ".claude/worktrees/x"], ids=["untracked", "ignored"])
@pytest.mark.parametrize("how", ["added", "committed", "left alone"])
def test_worktrees_of_the_same_repository_stay_out(
    grove: worktrees.Worktrees, worktree: Worktree, where: str, how: str
) -> None:
    made.commit(worktree.path, {".gitignore": ".claude/\n"}, "Ignore")
    made.git(worktree.path, "worktree", "add", "--quiet", "-b", "sub-agent", where)
    write(worktree, f"{where}/new")
    if how != "left alone":
        made.git(worktree.path, "add", "--force", where)
    if how == "committed":
        made.git(worktree.path, "commit", "--quiet", "--message", "A link")
    assert bool(staging.uncommitted(grove.git, worktree)) == (how != "left alone")
    commit(grove, worktree)
    assert tree(worktree.path) == ["blob .gitignore", "blob README.md", "blob src/main.py"]
    assert_complete(grove, worktree)
    assert made.git(Path(worktree.path, where), "status", "--porcelain") == "?? new"


@pytest.mark.parametrize("ignored", ["by .gitmodules", "by config", "not"])
def test_what_is_in_submodules_is_committed_there(
    grove: worktrees.Worktrees, repository: str, with_submodules: Worktree, ignored: str
) -> None:
    worktree = with_submodules
    if ignored == "by .gitmodules":
        made.git(worktree.path, "config", "--file", ".gitmodules", "submodule.sub.ignore", "all")
        made.git(worktree.path, "commit", "--quiet", "--all", "--message", "Ignore")
    elif ignored == "by config":
        made.git(repository, "config", "diff.ignoreSubmodules", "all")
        made.git(repository, "config", "status.showUntrackedFiles", "no")
    write(worktree, "sub/README.md", "changed\n")
    write(worktree, "sub/new")
    made.git(Path(worktree.path, "deep/two"), "checkout", "--quiet", "-b", "work")
    theirs = made.commit(Path(worktree.path, "deep/two"), {"theirs": "theirs"}, "Theirs")
    write(worktree, "deep/two/mine")
    assert sorted(staging.uncommitted(grove.git, worktree)) == [
        "deep/two",
        "deep/two/mine",
        "sub/README.md",
        "sub/new",
    ]
    before = made.head(Path(worktree.path, "sub"))
    snapshot = staging.snapshot(grove.git, worktree)
    assert made.head(Path(worktree.path, "sub")) == before
    link = made.git(worktree.path, "rev-parse", f"{snapshot}:sub")
    assert made.git(Path(worktree.path, "sub"), "show", f"{link}:new") == "text"
    commit(grove, worktree)
    for path, names in (("sub", ["README.md", "new"]), ("deep/two", ["mine"])):
        inner = Path(worktree.path, path)
        assert made.git(inner, "status", "--porcelain") == ""
        assert made.head(inner) == made.git(worktree.path, "rev-parse", f"HEAD:{path}")
        assert made.git(inner, "diff", "--name-only", "HEAD~", "HEAD").splitlines() == names
        assert made.git(inner, "log", "-1", "--format=%an %s") == "Taskgrove Fix the login"
    assert made.head(Path(worktree.path, "deep/two"), "work~") == theirs
    assert_complete(grove, worktree)


def test_a_submodule_in_a_submodule_is_committed_first(
    grove: worktrees.Worktrees, with_submodules: Worktree, tmp_path: Path
) -> None:
    worktree = with_submodules
    sub = Path(worktree.path, "sub")
    made.git(sub, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(tmp_path / "library"), "inner")
    write(worktree, "sub/inner/new")
    made.make_repository(sub / "inner/own")
    commit(grove, worktree)
    assert made.head(sub) == made.git(worktree.path, "rev-parse", "HEAD:sub")
    assert made.head(sub / "inner") == made.git(sub, "rev-parse", "HEAD:inner")
    assert "blob own/README.md" in tree(sub / "inner")
    assert_complete(grove, worktree)


def test_submodules_without_a_checkout_stay_as_they_are(
    grove: worktrees.Worktrees, repository: str, with_submodules: Worktree
) -> None:
    made.git(with_submodules.path, "submodule", "--quiet", "deinit", "--force", "--all")
    write(with_submodules, "new")
    commit(grove, with_submodules)
    changed = made.git(with_submodules.path, "diff", "--name-only", with_submodules.base_commit, "HEAD")
    assert changed == "new"
    assert_complete(grove, with_submodules)


def test_a_merge_that_is_unfinished_in_a_submodule_is_a_failure(
    grove: worktrees.Worktrees, with_submodules: Worktree
) -> None:
    sub = Path(with_submodules.path, "sub")
    made.git(sub, "checkout", "--quiet", "-b", "one")
    made.commit(sub, {"README.md": "one\n"}, "One")
    made.git(sub, "checkout", "--quiet", "-b", "other", "HEAD~")
    made.commit(sub, {"README.md": "other\n"}, "Other")
    with pytest.raises(AssertionError):
        made.git(sub, "merge", "one")
    with pytest.raises(commits.CommitFailed, match="submodule 'sub' stands in the middle of a merge"):
        commit(grove, with_submodules)
    assert made.head(with_submodules.path) == with_submodules.base_commit
