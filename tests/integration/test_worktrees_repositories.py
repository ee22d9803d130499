"""Which directories can be the repository of a task list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain import errors
from taskgrove_server.worktrees import repositories, roots


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made.isolate(monkeypatch, tmp_path / "home")


def test_a_repository_is_returned_without_symbolic_links(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project")
    link = tmp_path / "link"
    link.symlink_to(repository)
    assert repositories.inspect(str(repository)) == str(repository)
    assert repositories.inspect(f"{link}/") == str(repository)
    assert repositories.inspect(f"{repository}/src/..") == str(repository)


def test_a_detached_head_is_fine(tmp_path: Path) -> None:
    repository = made.make_detached_repository(tmp_path / "project")
    assert repositories.inspect(str(repository)) == str(repository)


@pytest.mark.parametrize("bare", [False, True])
def test_a_linked_worktree_is_fine(tmp_path: Path, bare: bool) -> None:
    make = made.make_bare_repository if bare else made.make_repository
    repository = make(tmp_path / "project")
    linked = tmp_path / "linked"
    made.git(repository, "worktree", "add", "--quiet", "-b", "other", str(linked))
    assert repositories.inspect(str(linked)) == str(linked.resolve())


def test_a_directory_name_is_never_expanded(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "$HOME ~ %s ünï")
    assert repositories.inspect(str(repository)) == str(repository)


@pytest.mark.parametrize("path", ["", "project", "./project", "~", "/tmp\0", "/tmp/a\nb", "/tmp/\x1b[2J", "/tmp/\x7f"])
def test_a_path_that_is_relative_or_has_control_characters_is_refused(path: str) -> None:
    with pytest.raises(errors.DirectoryNotFound):
        repositories.inspect(path)


def test_a_missing_directory_a_file_and_a_loop_of_links_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (tmp_path / "missing", file, loop, f"/{'x' * 5000}"):
        with pytest.raises(errors.DirectoryNotFound):
            repositories.inspect(str(path))


def test_a_plain_directory_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.NotARepository, match="no repository at it or above it: run 'git init'"):
        repositories.inspect(str(tmp_path))


def test_a_linked_worktree_whose_registration_is_gone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project")
    linked = tmp_path / "linked"
    made.git(repository, "worktree", "add", "--quiet", str(linked))
    repository.rename(tmp_path / "moved")
    with pytest.raises(errors.NotARepository, match=r"its \.git leads to .* 'git worktree repair'"):
        repositories.inspect(str(linked))
    # As it says.
    made.git(tmp_path / "moved", "worktree", "repair", str(linked))
    assert repositories.inspect(str(linked)) == str(linked)


@pytest.mark.parametrize("version", ["1", "99"])
def test_a_format_that_this_git_does_not_know_is_told(tmp_path: Path, version: str) -> None:
    repository = made.make_repository(tmp_path / "project")
    with (repository / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\trepositoryFormatVersion = {version}\n[extensions]\n\tofTheFuture = yes\n")
    with pytest.raises(errors.NotARepository, match="too old for it"):
        repositories.inspect(str(repository))


def test_a_directory_inside_a_repository_is_refused_with_the_repository(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project")
    with pytest.raises(errors.NotARepository) as refusal:
        repositories.inspect(str(repository / "src"))
    assert f"it lies inside the repository '{repository}': use that." in str(refusal.value)


def test_the_inside_of_a_git_directory_is_refused(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project")
    for inside in (".git", ".git/refs"):
        with pytest.raises(errors.NotARepository, match=r"inside a \.git directory"):
            repositories.inspect(str(repository / inside))


def test_a_bare_repository_is_refused(tmp_path: Path) -> None:
    repository = made.make_bare_repository(tmp_path / "project.git")
    with pytest.raises(errors.RepositoryBare):
        repositories.inspect(str(repository))


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    repository = made.make_empty_repository(tmp_path / "project")
    with pytest.raises(errors.RepositoryEmpty):
        repositories.inspect(str(repository))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_repository_of_another_user_is_refused_in_gits_words(tmp_path: Path) -> None:
    repository = made.make_repository(tmp_path / "project")
    os.chown(repository, 12345, 12345)
    os.chown(repository / ".git", 12345, 12345)
    with pytest.raises(errors.NotARepository, match="dubious ownership") as refusal:
        repositories.inspect(str(repository))
    assert "git config --global --add safe.directory" in str(refusal.value)


def test_git_variables_of_the_server_lead_to_no_other_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made.make_repository(tmp_path / "other")
    plain = tmp_path / "plain"
    plain.mkdir()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(plain))
    with pytest.raises(errors.NotARepository, match="no repository"):
        repositories.inspect(str(plain))


def test_without_roots_everything_is_allowed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/usr")
    assert roots.AllowedRoots([]).check(str(link)) == os.path.realpath("/usr")


def test_a_root_and_what_is_below_it_are_allowed(tmp_path: Path) -> None:
    allowed = roots.AllowedRoots(["/nowhere", f"{tmp_path}/a/b/"])
    base = os.path.realpath(tmp_path)
    assert allowed.check(f"{tmp_path}/a/b") == f"{base}/a/b"
    assert allowed.check(f"{tmp_path}/a/b/c/../d") == f"{base}/a/b/d"
    assert roots.AllowedRoots(["/"]).check("/anything/at/all") == "/anything/at/all"


@pytest.mark.parametrize("path", ["a", "a/bc", "a/b/../c", "a/b/link", "a/b/link/deeper", ""])
def test_nothing_else_is_allowed(tmp_path: Path, path: str) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/link").symlink_to(tmp_path / "a")
    allowed = roots.AllowedRoots([f"{tmp_path}/a/b"])
    with pytest.raises(errors.PathNotAllowed):
        allowed.check(f"{tmp_path}/{path}")


def test_a_root_that_is_a_link_allows_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real/project").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    allowed = roots.AllowedRoots([f"{tmp_path}/link"])
    assert allowed.check(f"{tmp_path}/link/project") == str((tmp_path / "real/project").resolve())


@pytest.mark.parametrize("path", ["", "relative", "/a\0b"])
def test_malformed_paths_and_roots_are_refused(path: str) -> None:
    with pytest.raises(errors.DirectoryNotFound):
        roots.AllowedRoots([]).check(path)
    with pytest.raises(errors.DirectoryNotFound):
        roots.AllowedRoots([path])
