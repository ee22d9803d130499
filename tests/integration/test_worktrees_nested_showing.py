"""What changes in submodules is shown as files, and told apart from what only a sub-agent has."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree
from taskgrove_server.worktrees import changes, clearing, commits, work, worktrees
from taskgrove_server.worktrees.changes import ChangedFile, Patch
from taskgrove_server.worktrees.nested import contents, finding, state
from taskgrove_server.worktrees.nested.contents import Compare

TASK = TaskId("k3v9m2qxw7ab")

FILE_PROTOCOL = ("-c", "protocol.file.allow=always")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """Makes a repository with the submodule `lib/sub`, which has `deep` in turn."""
    deep = made.make_repository(tmp_path / "deep")
    sub = made.make_repository(tmp_path / "sub")
    made.git(sub, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(deep), "deep")
    made.git(sub, "commit", "--quiet", "--message", "Deep")
    path = made.make_repository(tmp_path / "project")
    made.git(path, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(sub), "lib/sub")
    made.git(path, "commit", "--quiet", "--message", "Sub")
    return str(path)


@pytest.fixture
def grove(tmp_path: Path) -> worktrees.Worktrees:
    return worktrees.Worktrees(tmp_path / "data" / "worktrees", commits.Author(), timeout=30)


@pytest.fixture
def worktree(grove: worktrees.Worktrees, repository: str) -> Worktree:
    made_ = grove.create(repository, TASK, "Fix the login")
    made.git(made_.path, *FILE_PROTOCOL, "submodule", "--quiet", "update", "--init", "--recursive")
    return made_


def compared(grove: worktrees.Worktrees, repository: str, worktree: Worktree, *paths: str) -> Compare:
    subject = work.look(grove.git, repository, TASK, worktree)
    found = changes.compare(grove.git, subject, committed_only=False)
    return Compare(repository, worktree.path, found, paths=paths)


def shown(grove: worktrees.Worktrees, subject: Compare) -> dict[str, bytes]:
    """Returns the patches by path, after a look at whether files and patches belong together."""
    files = contents.changed_files(grove.git, subject)
    items = contents.patches(grove.git, subject, files, context_lines=3, longest=1 << 20)
    patches: dict[str, bytes] = {}
    path = ""
    for item in items:
        if isinstance(item, ChangedFile):
            path = item.path
            patches[path] = b""
        else:
            assert isinstance(item, Patch)
            patches[path] += item.data
    assert list(patches) == [file.path for file in files]
    return patches


def test_changes_in_submodules_are_files_below_their_paths(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    sub = Path(worktree.path, "lib/sub")
    made.git(sub, "mv", "README.md", "READ.md")
    made.commit(sub, {"src/main.py": "changed\n"}, "Renamed")
    (sub / "deep/new").write_text("new\n", encoding="utf-8")
    Path(worktree.path, "last").write_text("last\n", encoding="utf-8")
    subject = compared(grove, repository, worktree)
    patches = shown(grove, subject)
    assert list(patches) == [
        "last",
        "lib/sub",
        "lib/sub/READ.md",
        "lib/sub/README.md",
        "lib/sub/deep",
        "lib/sub/deep/new",
        "lib/sub/src/main.py",
    ]
    assert b"--- a/lib/sub/src/main.py\n+++ b/lib/sub/src/main.py\n" in patches["lib/sub/src/main.py"]
    assert patches["lib/sub/deep/new"].endswith(b"+++ b/lib/sub/deep/new\n@@ -0,0 +1 @@\n+new\n")
    for path, names in (
        ("lib/sub/deep", ["lib/sub", "lib/sub/deep", "lib/sub/deep/new"]),
        ("lib/sub/src/main.py", ["lib/sub", "lib/sub/src/main.py"]),
        ("last", ["last"]),
    ):
        assert list(shown(grove, compared(grove, repository, worktree, path))) == names


def test_they_are_shown_after_the_worktree_is_gone(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    Path(worktree.path, "lib/sub/new").write_text("new\n", encoding="utf-8")
    grove.commit(worktree, title="Fix", task_id=TASK, task_list_title="List", run_number=1)
    before = shown(grove, compared(grove, repository, worktree))
    assert list(before) == ["lib/sub", "lib/sub/new"]
    subject = work.look(grove.git, repository, TASK, worktree)
    removal = clearing.prune(grove.git, subject, dry_run=False, note=lambda _ref: None)
    assert removal.path
    assert shown(grove, compared(grove, repository, worktree)) == before


def test_of_a_new_submodule_only_what_its_remotes_have_not_is_shown(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    made.git(worktree.path, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(tmp_path / "deep"), "other")
    assert list(shown(grove, compared(grove, repository, worktree))) == [".gitmodules", "other"]
    made.commit(Path(worktree.path, "other"), {"own": "own"}, "Own")
    assert list(shown(grove, compared(grove, repository, worktree))) == [".gitmodules", "other", "other/own"]


def test_a_snapshot_is_the_same_each_time(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    Path(worktree.path, "lib/sub/deep/new").write_text("new\n", encoding="utf-8")
    assert compared(grove, repository, worktree) == compared(grove, repository, worktree)


def test_what_is_told_of_each(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    made.commit(Path(worktree.path, "lib/sub"), {"own": "own"}, "Own")
    made.git(worktree.path, "worktree", "add", "--quiet", "-b", "agent", "agent")
    made.commit(Path(worktree.path, "agent"), {"one": "one"}, "One")
    made.make_empty_repository(Path(worktree.path, "made"))
    Path(worktree.path, "made/new").write_text("new", encoding="utf-8")
    found = finding.find(grove.git, worktree.path, worktree.base_commit)
    told = state.describe(grove.git, found, worktree.base_commit)
    assert [(one.path, one.kind.value, one.branch, one.commits, one.uncommitted_files) for one in told] == [
        ("agent", "worktree", "agent", 1, 0),
        ("lib/sub", "submodule", None, 1, 0),
        ("lib/sub/deep", "submodule", None, 0, 0),
        ("made", "repository", "main", 0, 1),
    ]
    assert [one.path for one in state.left_out(grove.git, found, worktree.base_commit)] == ["agent"]
