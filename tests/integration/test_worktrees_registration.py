"""A worktree's registration with its repository is found or made again, and its files stay as they are."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import registrations
from support import repositories as made
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.worktree import Worktree, WorktreeState
from taskgrove_server.worktrees import commits, git_dirs, locks, registration, work, worktrees

TASK = TaskId("k3v9m2qxw7ab")
SAVED = f"refs/taskgrove/saved/{TASK}"


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
    worktree = grove.create(repository, TASK, "Fix the login")
    made.commit(worktree.path, {"done": "done\n"}, "Done")
    Path(worktree.path, "README.md").write_text("changed\n")
    Path(worktree.path, "src/main.py").unlink()
    Path(worktree.path, "unfinished").write_text("unfinished\n")
    return worktree


def changes(worktree: Worktree) -> list[str]:
    """Returns what git has to say about the files of a worktree, one line each."""
    return made.git(worktree.path, "status", "--porcelain").splitlines()


CHANGES = ["M README.md", " D src/main.py", "?? unfinished"]


def test_a_worktree_is_locked_and_a_prune_leaves_it(repository: str, worktree: Worktree) -> None:
    assert "locked Taskgrove" in made.git(repository, "worktree", "list", "--porcelain")
    shutil.move(worktree.path, f"{worktree.path}.away")
    made.git(repository, "worktree", "prune", "--expire=now")
    assert made.worktree_paths(repository) == [worktree.path]


def test_a_worktree_of_an_earlier_server_is_locked_when_it_is_used(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(repository, "worktree", "unlock", worktree.path)
    grove.mend(repository, worktree)
    assert "locked Taskgrove" in made.git(repository, "worktree", "list", "--porcelain")


@pytest.mark.parametrize("damage", list(registrations.DAMAGES))
def test_a_registration_is_repaired_and_no_file_is_touched(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, damage: str
) -> None:
    head = made.head(worktree.path)
    registrations.DAMAGES[damage](Path(worktree.path))
    assert not grove.restore(repository, worktree)
    assert changes(worktree) == CHANGES
    assert made.head(worktree.path) == head
    assert made.git(worktree.path, "symbolic-ref", "--short", "HEAD") == worktree.branch
    assert made.worktree_paths(repository) == [worktree.path]
    assert "locked Taskgrove" in made.git(repository, "worktree", "list", "--porcelain")
    assert [place.name for place in Path(worktree.path).parent.iterdir()] == [TASK]


@pytest.mark.parametrize("damage", list(registrations.DAMAGES))
def test_what_an_agent_left_is_committed_whatever_it_did_to_its_git(
    grove: worktrees.Worktrees, worktree: Worktree, damage: str
) -> None:
    registrations.DAMAGES[damage](Path(worktree.path))
    head = grove.commit(worktree, title="Do it", task_id=TASK, task_list_title="A list", run_number=1)
    shown = made.git(worktree.path, "show", "--name-status", "--format=", head).split()
    assert shown == ["M", "README.md", "D", "src/main.py", "A", "unfinished"]


def test_a_repository_of_the_other_object_format_is_repaired_as_well(
    grove: worktrees.Worktrees, tmp_path: Path
) -> None:
    repository = tmp_path / "sha256"
    made.git(tmp_path, "init", "--quiet", "--object-format=sha256", str(repository))
    made.commit(repository, {"README.md": "hello\n"}, "First")
    worktree = grove.create(str(repository), TASK, "Fix the login")
    assert registration.is_sound(worktree.path, str(repository / ".git"))
    (registrations.admin(Path(worktree.path)) / "index").write_bytes(b"DIRC garbage")
    shutil.rmtree(registrations.admin(Path(worktree.path)))
    grove.mend(str(repository), worktree)
    assert changes(worktree) == []
    made.git(worktree.path, "checkout", "--quiet", "--detach")
    assert registration.is_sound(worktree.path, str(repository / ".git"))


def test_a_sound_registration_costs_no_process(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    grove.mend(repository, worktree)


def test_a_branch_that_is_checked_out_elsewhere_is_left_there(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    head = made.head(worktree.path)
    shutil.rmtree(registrations.admin(Path(worktree.path)))
    made.git(repository, "checkout", "--quiet", worktree.branch)
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES
    assert made.git(worktree.path, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert made.head(worktree.path) == head
    assert made.git(repository, "symbolic-ref", "--short", "HEAD") == worktree.branch


def test_a_branch_that_is_gone_as_well_leaves_the_recorded_head(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    worktree = dataclasses.replace(worktree, head_commit=made.head(worktree.path))
    shutil.rmtree(registrations.admin(Path(worktree.path)))
    made.git(repository, "branch", "-D", worktree.branch)
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES
    assert made.head(worktree.path) == worktree.head_commit


def test_a_head_that_is_lost_is_where_its_log_says_it_was_last(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.git(worktree.path, "checkout", "--quiet", "--detach")
    made.git(worktree.path, "commit", "--quiet", "--allow-empty", "--message", "On no branch")
    head = made.head(worktree.path)
    (registrations.admin(Path(worktree.path)) / "HEAD").write_text("")
    grove.mend(repository, worktree)
    assert made.head(worktree.path) == head


def test_what_is_outside_of_a_sparse_checkout_does_not_count_as_deleted(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    made.commit(repository, {"huge/a": "a", "small/b": "b"}, "More")
    worktree = grove.create(repository, TaskId("aaaaaaaaaaaa"), "Sparse")
    made.git(worktree.path, "sparse-checkout", "set", "small")
    assert not Path(worktree.path, "huge").exists()
    Path(worktree.path, "small/b").unlink()
    Path(worktree.path, "README.md").write_text("changed")
    Path(worktree.path, "src").mkdir()
    Path(worktree.path, "src/main.py").write_text("outside")
    (registrations.admin(Path(worktree.path)) / "index").unlink()
    grove.mend(repository, worktree)
    assert changes(worktree) == ["M README.md", " D small/b", " M src/main.py"]


@pytest.mark.parametrize("left", ["a part", "nothing"])
def test_a_checkout_that_was_cut_off_is_completed(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, left: str
) -> None:
    path = Path(worktree.path)
    own = registrations.admin(path)
    (own / "index").unlink()
    for name in ("done", "README.md", "src", "unfinished"):
        shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink()
    if left == "a part":
        (own / "index.lock").write_text("")
        (path / "done").write_text("done\n")
    assert not grove.restore(repository, worktree)
    assert changes(worktree) == []


@pytest.mark.parametrize("state", [WorktreeState.PRUNED, WorktreeState.DISCARDED])
def test_what_is_left_of_a_worktree_that_was_removed_is_not_taken_for_it(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, state: WorktreeState
) -> None:
    made.git(repository, "worktree", "remove", "--force", "--force", worktree.path)
    Path(worktree.path).mkdir()
    Path(worktree.path, "README.md").write_text("left\n")
    removed = dataclasses.replace(worktree, state=state)
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.restore(repository, removed)
    assert made.worktree_paths(repository) == []


def test_a_repository_that_was_moved_with_its_worktree_is_repaired(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    moved = str(Path(repository).rename(tmp_path / "elsewhere"))
    there = dataclasses.replace(worktree, path=str(tmp_path / "other data" / TASK))
    Path(there.path).parent.mkdir()
    Path(worktree.path).rename(there.path)
    grove.mend(moved, there)
    assert changes(there) == CHANGES
    assert made.worktree_paths(moved) == [there.path]


def test_a_data_directory_behind_a_link_is_still_the_same(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    (tmp_path / "data").rename(tmp_path / "larger disk")
    (tmp_path / "data").symlink_to(tmp_path / "larger disk")
    grove.mend(repository, worktree)
    made.git(repository, "worktree", "repair", str(tmp_path / "larger disk" / "worktrees" / TASK))
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES
    assert len(made.worktree_paths(repository)) == 1


def init(worktree: Worktree, *options: str) -> Path:
    """Makes a repository of its own where a worktree was, as an agent that thinks that there is none."""
    path = Path(worktree.path)
    (path / ".git").unlink()
    made.git(path, "init", "--quiet", *options)
    return path


@pytest.mark.parametrize("trusted", [False, True])
def test_a_repository_that_an_agent_has_made_is_saved_and_set_aside(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, trusted: bool
) -> None:
    path = init(worktree)
    own = made.commit(path, {"its own": "its own\n"}, "Its own")
    made.git(path, "tag", "--annotate", "--message", "v1", "v1")
    made.git(path, "checkout", "--quiet", "--detach")
    made.git(path, "commit", "--quiet", "--allow-empty", "--message", "On no branch")
    detached = made.head(path)
    (path / "staged").write_text("staged\n")
    made.git(path, "add", "staged")
    grove.mend(repository, worktree, trusted=trusted)
    assert changes(worktree)[:2] == CHANGES[:2]
    assert {line[3:].strip('"') for line in changes(worktree)[2:]} == {"its own", "staged", "unfinished"}
    assert made.head(repository, f"{SAVED}/1/heads/main") == own
    assert made.head(repository, f"{SAVED}/1/tags/v1") == own
    assert made.head(repository, f"{SAVED}/1/taskgrove/head") == detached
    assert made.git(repository, "show", f"{SAVED}/1/taskgrove/staged:staged") == "staged"
    aside = registrations.admin(path) / "taskgrove-own-repository-1"
    assert made.head(aside) == detached


def test_one_without_a_commit_is_set_aside(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    init(worktree)
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES
    assert made.git(repository, "for-each-ref", SAVED) == ""


def test_a_second_one_does_not_replace_the_first(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    commits_ = []
    for _ in range(2):
        path = init(worktree)
        commits_.append(made.commit(path, {}, "Its own"))
        grove.mend(repository, worktree)
    assert [made.head(repository, f"{SAVED}/{number}/heads/main") for number in (1, 2)] == commits_


def test_one_whose_git_directory_lies_elsewhere_is_set_aside_as_well(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    path = init(worktree, f"--separate-git-dir={tmp_path / 'git dir'}")
    own = made.commit(path, {}, "Its own")
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES
    assert made.head(repository, f"{SAVED}/1/heads/main") == own
    assert made.head(tmp_path / "git dir") == own


@pytest.mark.parametrize("how", ["another format", "shallow"])
def test_one_whose_history_cannot_be_taken_over_is_refused_with_what_to_do(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, how: str, tmp_path: Path
) -> None:
    path = init(worktree, *(["--object-format=sha256"] if how == "another format" else []))
    if how == "shallow":
        origin = made.make_repository(tmp_path / "origin")
        made.commit(origin, {"more": "more"}, "More")
        made.git(path, "fetch", "--quiet", "--depth=1", f"file://{origin}", "main")
        made.git(path, "update-ref", "HEAD", "FETCH_HEAD")
    own = made.commit(path, {}, "Its own") if how == "another format" else made.head(path)
    with pytest.raises(locks.WorktreeFailed, match=r"sha256|unshallow") as refusal:
        grove.mend(repository, worktree)
    assert "move that away and call again" in str(refusal.value)
    assert made.head(path) == own
    assert made.git(repository, "for-each-ref", SAVED) == ""
    # As it says.
    (path / ".git").rename(tmp_path / "away")
    grove.mend(repository, worktree)
    assert changes(worktree) == CHANGES


@pytest.mark.parametrize("what", ["repository", "clone", "link to a worktree", "link to a checkout", "broken link"])
def test_what_is_not_the_tasks_is_never_touched(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, what: str, tmp_path: Path
) -> None:
    path = Path(worktree.path)
    shutil.rmtree(path)
    other = tmp_path / "other"
    if what == "repository":
        other = made.make_repository(path, {"README.md": "mine\n", "done": "mine\n"})
    elif what == "clone":
        made.git(tmp_path, "clone", "--quiet", repository, str(path))
        other = path
    else:
        if what == "link to a worktree":
            made.git(repository, "worktree", "add", "--quiet", str(other))
        elif what == "link to a checkout":
            made.make_repository(other)
        path.symlink_to(other)
    before = sorted(str(file) for file in other.rglob("*")), Path(repository, ".git", "worktrees").stat().st_mtime
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.mend(repository, worktree)
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.restore(repository, worktree)
    after = sorted(str(file) for file in other.rglob("*")), Path(repository, ".git", "worktrees").stat().st_mtime
    assert after == before
    assert path.is_symlink() or made.head(path)


def test_a_worktree_that_was_moved_for_good_is_not_taken_back(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    shutil.copytree(worktree.path, tmp_path / "copy", symlinks=True)
    made.git(repository, "worktree", "repair", str(tmp_path / "copy"))
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.mend(repository, worktree)
    assert made.git(tmp_path / "copy", "status", "--porcelain").splitlines() == CHANGES


def test_a_repository_without_the_tasks_commits_is_not_its_own(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    shutil.rmtree(repository)
    other = str(made.make_repository(tmp_path / "other", {"other": "other"}))
    with pytest.raises(locks.WorktreeFailed, match="is there, but is no worktree of"):
        grove.mend(other, worktree)
    assert made.worktree_paths(other) == []
    assert Path(worktree.path, "unfinished").exists()


def test_nobody_repairs_while_somebody_works(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    Path(worktree.path, ".git").unlink()
    grove.mend(repository, worktree, may=lambda: False)
    assert not Path(worktree.path, ".git").exists()


def test_the_registration_of_a_directory_that_is_gone_is_forgotten(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree
) -> None:
    registration.forget(grove.git, repository, worktree.path)
    assert made.worktree_paths(repository) == [worktree.path]
    shutil.rmtree(worktree.path)
    registration.forget(grove.git, repository, worktree.path)
    assert made.worktree_paths(repository) == []


def test_stale_locks_are_removed_where_branches_are_no_files(
    grove: worktrees.Worktrees, worktree: Worktree, tmp_path: Path
) -> None:
    # As with reftable, which keeps refs/heads as a file so that old versions of git stay away.
    dirs = git_dirs.GitDirs(own=str(registrations.admin(Path(worktree.path))), common=str(tmp_path / "reftable"))
    Path(dirs.common, "refs").mkdir(parents=True)
    Path(dirs.common, "refs", "heads").write_text("this repository uses the reftable format\n")
    locks_ = [Path(dirs.own, "index.lock"), Path(dirs.own, "reftable", "tables.list.lock")]
    for lock in locks_:
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
    git_dirs.remove_stale_locks(dirs, worktree)
    assert not any(lock.exists() for lock in locks_)


def test_a_git_directory_is_used_whatever_bare_repositories_git_may_discover(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    (tmp_path / "home" / ".gitconfig").write_text("[safe]\n\tbareRepository = explicit\n")
    assert work.look(grove.git, f"{repository}/.git", TASK, worktree).present


def test_git_and_the_files_say_the_same(grove: worktrees.Worktrees, repository: str, worktree: Worktree) -> None:
    for path in (repository, worktree.path, f"{repository}/.git"):
        assert git_dirs.read(path) == git_dirs.of(grove.git, path)
    looked = work.look(grove.git, repository, TASK, worktree)
    assert looked.present


def moved(worktree: Worktree, to: Path) -> Worktree:
    """Moves the directory of all worktrees, as with the data directory that has it."""
    to.parent.mkdir(parents=True)
    Path(worktree.path).parent.rename(to)
    return dataclasses.replace(worktree, path=str(to / TASK))


def with_submodules(repository: str, worktree: Worktree, tmp_path: Path) -> None:
    """Adds a submodule that has one itself, and leaves a change in each."""
    inner = made.make_repository(tmp_path / "inner")
    outer = made.make_repository(tmp_path / "outer")
    allowed = ("-c", "protocol.file.allow=always")
    made.git(outer, *allowed, "submodule", "--quiet", "add", str(inner), "lib/inner")
    made.commit(outer, {}, "Inner")
    made.git(worktree.path, *allowed, "submodule", "--quiet", "add", str(outer), "lib/outer")
    made.git(worktree.path, *allowed, "submodule", "--quiet", "update", "--init", "--recursive")
    for name in ("lib/outer", "lib/outer/lib/inner"):
        Path(worktree.path, name, "README.md").write_text("changed in a submodule\n")


@pytest.mark.parametrize("depth", ["moved", "to/another/depth/moved"])
def test_a_worktree_that_was_moved_with_its_data_directory_is_known_at_its_place(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path, depth: str
) -> None:
    with_submodules(repository, worktree, tmp_path)
    before = changes(worktree)
    there = moved(worktree, tmp_path / depth / "worktrees")
    grove.follow(there)
    assert made.worktree_paths(repository) == [there.path]
    assert registration.is_sound(there.path, there.common_dir or "")
    assert changes(there) == before
    for name in ("lib/outer", "lib/outer/lib/inner"):
        assert made.git(Path(there.path, name), "status", "--porcelain").splitlines()[0] == "M README.md"


def test_a_worktree_with_submodules_that_was_moved_is_repaired_when_it_is_used(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    with_submodules(repository, worktree, tmp_path)
    before = changes(worktree)
    there = moved(worktree, tmp_path / "other" / "worktrees")
    grove.mend(repository, there)
    assert changes(there) == before


def test_a_worktree_that_leads_to_its_repository_by_a_relative_path_is_known_where_it_was_moved_to(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    # As with worktree.useRelativePaths of git 2.48.
    own = registrations.admin(Path(worktree.path))
    Path(worktree.path, ".git").write_text(f"gitdir: {os.path.relpath(own, worktree.path)}\n")
    (own / "gitdir").write_text(f"{os.path.relpath(worktree.path, own)}/.git\n")
    there = moved(worktree, tmp_path / "to" / "another" / "depth" / "worktrees")
    grove.follow(there)
    assert made.worktree_paths(repository) == [there.path]
    assert changes(there) == CHANGES


def test_a_worktree_of_which_a_copy_was_made_stays_where_it_is(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    copy = dataclasses.replace(worktree, path=str(tmp_path / "copy" / TASK))
    shutil.copytree(worktree.path, copy.path)
    grove.follow(copy)
    assert made.worktree_paths(repository) == [worktree.path]
    with pytest.raises(locks.WorktreeFailed, match="no worktree of"):
        grove.mend(repository, copy)
    assert made.worktree_paths(repository) == [worktree.path]
    assert changes(worktree) == CHANGES


def test_a_link_of_the_agents_leads_no_repair_elsewhere(
    grove: worktrees.Worktrees, repository: str, worktree: Worktree, tmp_path: Path
) -> None:
    with_submodules(repository, worktree, tmp_path)
    persons = made.make_repository(tmp_path / "persons")
    made.git(persons, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    pointer = (tmp_path / "linked" / ".git").read_text()
    shutil.rmtree(Path(worktree.path, "lib/outer"))
    Path(worktree.path, "lib/outer").symlink_to(tmp_path / "linked")
    grove.follow(moved(worktree, tmp_path / "other" / "worktrees"))
    assert (tmp_path / "linked" / ".git").read_text() == pointer
