"""The directory of a repository in which an agent starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain import errors
from taskgrove_server.worktrees import repositories, subdirectories
from taskgrove_server.worktrees.locks import WorktreeFailed


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


def test_what_is_committed_counts_and_not_what_is_checked_out(repository: Path) -> None:
    made.commit(repository, {"src/main.py": "x\n"}, "Source")
    (repository / "src/main.py").unlink()
    (repository / "src").rmdir()
    (repository / "staged").mkdir()
    (repository / "staged/file").write_text("x\n")
    made.git(repository, "add", "staged")
    repositories.check_subdirectory(str(repository), "", "src")
    with pytest.raises(errors.SubdirectoryNotFound, match="Commit something in it"):
        repositories.check_subdirectory(str(repository), "", "staged")


def test_a_remote_tracking_branch_is_a_base_too(tmp_path: Path) -> None:
    clone = made.make_clone(tmp_path / "clone")
    repositories.check_subdirectory(str(clone), "origin/main", "src")
    with pytest.raises(errors.SubdirectoryNotFound, match="the branch 'origin/main' has no such directory"):
        repositories.check_subdirectory(str(clone), "origin/main", "docs")


@pytest.mark.parametrize("settings", [("core.quotePath", "true"), ("core.precomposeUnicode", "true")])
def test_no_setting_changes_what_a_name_means(repository: Path, settings: tuple[str, str]) -> None:
    made.git(repository, "config", *settings)
    made.commit(repository, {'ü/"文\\/file': "x\n"}, "Names")
    repositories.check_subdirectory(str(repository), "", 'ü/"文\\')


def test_a_very_long_path_is_refused_like_any_other(repository: Path) -> None:
    made.commit(repository, {"a/a/file": "x\n"}, "Nested")
    for path in ("/".join("a" * 2048), "x" * 4096, "README.md" + "/a" * 2000):
        with pytest.raises(errors.SubdirectoryNotFound) as refused:
            repositories.check_subdirectory(str(repository), "", path)
        assert refused.value.metadata == {"path": path}


def test_a_directory_of_a_linked_worktree_is_that_of_its_own_head(repository: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    made.git(repository, "worktree", "add", "--quiet", "-b", "other", str(linked))
    made.commit(linked, {"only/here": "x\n"}, "Here")
    repositories.check_subdirectory(str(linked), "", "only")
    with pytest.raises(errors.SubdirectoryNotFound):
        repositories.check_subdirectory(str(repository), "", "only")


def test_a_directory_that_was_removed_is_made_again(tmp_path: Path) -> None:
    subdirectories.enter(str(tmp_path), "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    (tmp_path / "a/b/c/file").touch()
    subdirectories.enter(str(tmp_path), "a/b/c")
    assert (tmp_path / "a/b/c/file").exists()


def test_nothing_is_made_where_the_worktree_is_gone(tmp_path: Path) -> None:
    subdirectories.enter(str(tmp_path / "gone"), "a")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("target", ["..", "/tmp", "../beside", "../tree-beside", "../missing"])
def test_nothing_is_made_or_entered_beyond_a_link_that_leads_out(tmp_path: Path, target: str) -> None:
    tree = tmp_path / "tree"
    for directory in (tree, tmp_path / "beside", tmp_path / "tree-beside"):
        directory.mkdir()
    (tree / "a").symlink_to(target)
    before = sorted(tmp_path.rglob("*"))
    for path in ("a", "a/b"):
        with pytest.raises(WorktreeFailed, match="leads out"):
            subdirectories.enter(str(tree), path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_worktree_that_is_reached_through_a_link_is_one_place(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    subdirectories.enter(str(tmp_path / "link"), "a")
    assert (tmp_path / "tree/a").is_dir()
