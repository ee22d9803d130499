"""What only repositories inside a worktree have is saved before the worktree goes, wherever they lie in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import NestedKind, Removal, Worktree
from taskgrove_server.worktrees import clearing, commands, commits, work, worktrees

TASK = TaskId("k3v9m2qxw7ab")

FILE_PROTOCOL = ("-c", "protocol.file.allow=always")


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
    made.commit(repository, {".gitignore": "ignored/\n"}, "Ignore")
    return grove.create(repository, TASK, "Fix the login")


def discard(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> Removal:
    subject = work.look(grove.git, repository, TASK, worktree)
    removal = clearing.discard(grove.git, subject, dry_run=False, note=lambda _ref: None)
    assert not Path(worktree.path).exists()
    made.git(repository, "fsck", "--strict", "--connectivity-only")
    return removal


def saved(removal: Removal, path: str) -> str:
    return next(one.saved_ref for one in removal.saved_repositories if one.path == path)


def show(repository: str, revision: str) -> str:
    return made.git(repository, "cat-file", "blob", revision)


def test_a_bare_repository_in_an_ignored_place(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    origin = Path(worktree.path, "ignored/origin.git")
    made.make_bare_repository(origin)
    shutil.rmtree(origin.with_name("origin.git.source"))
    made.git(worktree.path, *FILE_PROTOCOL, "clone", "--quiet", str(origin), "ignored/app")
    made.commit(Path(worktree.path, "ignored/app"), {"pushed": "pushed"}, "Pushed")
    made.git(Path(worktree.path, "ignored/app"), "push", "--quiet", "origin", "main")
    removal = discard(grove, repository, worktree)
    # The clone has nothing that its remote has not.
    assert [one.path for one in removal.saved_repositories] == ["ignored/origin.git"]
    assert show(repository, f"{saved(removal, 'ignored/origin.git')}-refs/heads/main:pushed") == "pushed"


def test_a_submodule_whose_files_are_gone(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    library = made.make_repository(tmp_path / "library")
    made.git(worktree.path, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(library), "sub")
    made.commit(Path(worktree.path, "sub"), {"own": "own"}, "Own")
    made.git(worktree.path, "submodule", "--quiet", "deinit", "--force", "sub")
    shutil.rmtree(Path(worktree.path, "sub"))
    removal = discard(grove, repository, worktree)
    assert [(one.path, one.kind) for one in removal.nested_repositories] == [("sub", NestedKind.SUBMODULE)]
    assert show(repository, f"{saved(removal, 'sub')}:own") == "own"


def test_what_is_staged_and_what_is_in_the_files(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    inner = made.make_repository(Path(worktree.path, "ignored/inner"))
    Path(inner, "README.md").write_text("staged\n", encoding="utf-8")
    made.git(inner, "add", "--all")
    Path(inner, "README.md").write_text("edited\n", encoding="utf-8")
    removal = discard(grove, repository, worktree)
    assert removal.uncommitted_files == 1
    ref = saved(removal, "ignored/inner")
    assert show(repository, f"{ref}:README.md") == "edited"
    assert show(repository, f"{ref}^2:README.md") == "staged"
    assert show(repository, f"{ref}^1:README.md") == "# A project"


def test_a_detached_head_of_a_sub_agent(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    made.git(worktree.path, "worktree", "add", "--quiet", "--lock", "--detach", "ignored/agent")
    lone = made.commit(Path(worktree.path, "ignored/agent"), {"lone": "lone"}, "Lone")
    removal = discard(grove, repository, worktree)
    assert made.head(repository, saved(removal, "ignored/agent")) == lone
    assert made.worktree_paths(repository) == []


def test_a_clean_clone_is_not_saved(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    made.make_repository(tmp_path / "library")
    made.git(worktree.path, *FILE_PROTOCOL, "clone", "--quiet", str(tmp_path / "library"), "ignored/clone")
    removal = discard(grove, repository, worktree)
    assert [one.path for one in removal.nested_repositories] == ["ignored/clone"]
    assert removal.saved_repositories == ()


def test_a_repository_that_says_that_its_files_are_elsewhere(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret", encoding="utf-8")
    inner = made.make_repository(Path(worktree.path, 'ignored/in:ner "ü'))
    (inner / "new").write_text("new", encoding="utf-8")
    made.git(inner, "config", "core.worktree", str(elsewhere))
    ref = saved(discard(grove, repository, worktree), 'ignored/in:ner "ü')
    names = made.git(repository, "ls-tree", "-r", "--name-only", ref).splitlines()
    assert names == ["README.md", "new", "src/main.py"]


def test_a_repository_in_the_worktree_of_a_sub_agent(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(worktree.path, "worktree", "add", "--quiet", "-b", "agent", "agent")
    made.make_repository(Path(worktree.path, "agent/made"))
    Path(worktree.path, "agent/file").write_text("file", encoding="utf-8")
    removal = discard(grove, repository, worktree)
    assert show(repository, f"{saved(removal, 'agent')}:file") == "file"
    assert show(repository, f"{saved(removal, 'agent/made')}:src/main.py") == "print('hello')"


def test_what_saved_links_lead_to(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    library = made.make_repository(tmp_path / "library")
    made.git(worktree.path, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(library), "sub")
    sub = Path(worktree.path, "sub")
    made.git(sub, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(library), "deep")
    for place in (sub / "deep", sub):
        made.commit(place, {"linked": "linked"}, "Linked")
    made.git(worktree.path, "add", "--all")
    made.git(worktree.path, "commit", "--quiet", "--message", "Links")
    for place in (sub / "deep", sub):
        made.git(place, "reset", "--quiet", "--hard", "origin/main")
    removal = discard(grove, repository, worktree)
    link = made.git(repository, "rev-parse", f"{removal.saved_ref}^1:sub")
    assert show(repository, f"{link}:linked") == "linked"
    deep = made.git(repository, "rev-parse", f"{link}:deep")
    assert show(repository, f"{deep}:linked") == "linked"


def test_the_link_of_a_snapshot_leads_to_what_was_in_the_files(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    library = made.make_repository(tmp_path / "library")
    made.git(worktree.path, *FILE_PROTOCOL, "submodule", "--quiet", "add", str(library), "sub")
    Path(worktree.path, "sub/new").write_text("new", encoding="utf-8")
    removal = discard(grove, repository, worktree)
    link = made.git(repository, "rev-parse", f"{removal.saved_ref}:sub")
    assert show(repository, f"{link}:new") == "new"
    assert show(repository, f"{saved(removal, 'sub')}:new") == "new"


def test_one_that_git_cannot_read_is_named_before_anything_is_removed(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    inner = made.make_repository(Path(worktree.path, "ignored/inner"))
    with (inner / ".git/config").open("a", encoding="utf-8") as config:
        config.write("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tunheardOf = true\n")
    subject = work.look(grove.git, repository, TASK, worktree)
    with pytest.raises(commands.GitFailed, match="'ignored/inner' inside the worktree cannot be read"):
        clearing.discard(grove.git, subject, dry_run=False, note=lambda _ref: None)
    assert (inner / "README.md").exists()
    made.head(worktree.path)
