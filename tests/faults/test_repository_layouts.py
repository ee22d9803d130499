"""The git directory is not where one looks for it, or the directory of a list goes away while its repository stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import layouts, repositories, tasks_land, tasks_work
from support.server import RunningServer
from taskgrove.v1.task_pb2 import Task

WORK = "test -e work && echo more > more || echo work > work"


class Tasks:
    """A list whose tasks run one line of shell after the other in a repository."""

    def __init__(self, client: taskgrove.Client, checkout: Path, *, base_branch: str = "") -> None:
        self.client = client
        settings = taskgrove.WorktreeSettings(base_branch=base_branch)
        self.task_list = client.create_task_list("Tasks", working_dir=checkout, worktree_settings=settings)

    def run(self, command: str = WORK) -> Task:
        overrides = tasks_work.shell(tasks_land.IDENTITY + command)
        task = tasks_work.rest(self.client, self.client.enqueue(self.task_list.id, "Do it", overrides=overrides).id)
        assert task.state == Task.STATE_SUCCEEDED, task.failure
        return task

    def continued(self, task: Task) -> Task:
        self.client.continue_task(task.id, "Go on.")
        return tasks_work.rest(self.client, task.id)

    def changed(self, task: Task) -> list[str]:
        return [part.file.path for part in self.client.diff_worktree(task.id).files]


@pytest.mark.parametrize("layout", list(layouts.LAYOUTS))
def test_a_whole_life(client: taskgrove.Client, tmp_path: Path, layout: str) -> None:
    checkout = layouts.LAYOUTS[layout](tmp_path / "place")
    tasks = Tasks(client, checkout)
    branch = repositories.git(checkout, "symbolic-ref", "--short", "HEAD")
    task = tasks.run()
    assert tasks.changed(task) == ["work"]
    assert client.get_worktree_status(task.id).target_branch == branch
    assert client.check_land(task.id).can_land
    client.land(task.id)
    assert (checkout / "work").read_text() == "work\n"
    assert repositories.git(checkout, "status", "--porcelain", "--ignore-submodules") == ""
    task = tasks.continued(task)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert tasks.changed(task) == ["more"]
    removal = client.discard_worktree(task.id).removal
    assert removal.path == task.worktree.path
    assert not Path(task.worktree.path).exists()
    assert task.worktree.branch not in repositories.branches(checkout)
    assert task.worktree.path not in repositories.git(checkout, "worktree", "list")


@pytest.mark.parametrize("layout", list(layouts.LAYOUTS))
def test_the_files_follow_where_the_target_is_checked_out_in_a_linked_worktree(
    client: taskgrove.Client, tmp_path: Path, layout: str
) -> None:
    checkout = layouts.LAYOUTS[layout](tmp_path / "place")
    tasks = Tasks(client, checkout)
    repositories.git(checkout, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "other"))
    task = tasks.run()
    client.land(task.id, target_branch="other")
    assert (tmp_path / "other" / "work").exists()
    assert not (checkout / "work").exists()


def test_branches_are_kept_in_one_table(client: taskgrove.Client, tmp_path: Path) -> None:
    checkout = tmp_path / "project"
    try:
        repositories.git(tmp_path, "init", "--quiet", "--ref-format=reftable", str(checkout))
    except AssertionError:
        pytest.skip("this git has no reftable")
    repositories.commit(checkout, repositories.FILES, "First")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    client.land(task.id)
    assert (checkout / "work").exists()
    shutil.rmtree(repositories.git(task.worktree.path, "rev-parse", "--absolute-git-dir"))
    task = tasks.continued(task)
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert tasks.changed(task) == ["more"]
    assert client.discard_worktree(task.id).removal.path == task.worktree.path


@pytest.mark.parametrize("make", [layouts.bare_with_siblings, layouts.bare_git_with_siblings])
def test_the_branch_of_a_bare_repository_is_not_taken_for_checked_out(
    client: taskgrove.Client, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    checkout = make(tmp_path / "place")
    repositories.git(checkout, "checkout", "--quiet", "-b", "elsewhere")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    before = repositories.head(checkout, "main")
    client.land(task.id, target_branch="main")
    assert repositories.git(checkout, "merge-base", "main", before) == before
    assert repositories.git(checkout, "show", "main:work") == "work"
    with pytest.raises(taskgrove.RepositoryBare):
        client.create_task_list("Top", working_dir=checkout.parent)


def test_the_checkout_of_a_submodule_is_found_from_a_linked_worktree(client: taskgrove.Client, tmp_path: Path) -> None:
    checkout = layouts.submodule(tmp_path / "place")
    repositories.git(checkout, "worktree", "add", "--quiet", "-b", "develop", str(tmp_path / "linked"))
    tasks = Tasks(client, tmp_path / "linked")
    client.land(tasks.run().id, target_branch="main")
    assert (checkout / "work").exists()


def test_a_checkout_that_cannot_be_found_is_not_left_behind_by_its_branch(
    client: taskgrove.Client, tmp_path: Path
) -> None:
    checkout = layouts.linked_of_separate(tmp_path / "place")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    before = repositories.head(checkout, "main")
    assert not client.check_land(task.id, target_branch="main").can_land
    with pytest.raises(taskgrove.CheckoutDirty, match=r"config core\.worktree <directory>"):
        client.land(task.id, target_branch="main")
    assert repositories.head(checkout, "main") == before
    # As it says.
    repositories.git(tmp_path / "place" / "git dir", "config", "core.worktree", str(tmp_path / "place" / "checkout"))
    client.land(task.id, target_branch="main")
    assert (tmp_path / "place" / "checkout" / "work").exists()


def remove_worktree(checkout: Path) -> None:
    repositories.git(checkout, "worktree", "remove", str(checkout))


def delete(checkout: Path) -> None:
    shutil.rmtree(checkout)


def delete_and_prune(checkout: Path) -> None:
    common = repositories.git(checkout, "rev-parse", "--path-format=absolute", "--git-common-dir")
    shutil.rmtree(checkout)
    repositories.git(common, "worktree", "prune", "--expire=now")


def replace_by_another(checkout: Path) -> None:
    shutil.rmtree(checkout)
    repositories.make_repository(checkout, {"another": "another\n"})


REMOVALS = [remove_worktree, delete, delete_and_prune, replace_by_another]


@pytest.mark.parametrize("remove", REMOVALS)
def test_a_working_dir_that_was_removed_does_not_take_the_work_with_it(
    client: taskgrove.Client, tmp_path: Path, remove: Callable[[Path], None]
) -> None:
    checkout = layouts.linked(tmp_path / "place")
    main = tmp_path / "place" / "main"
    tasks = Tasks(client, checkout)
    task, other = tasks.run(), tasks.run()
    origin = repositories.make_bare_repository(tmp_path / "origin")
    repositories.git(main, "remote", "add", "origin", str(origin))
    remove(checkout)
    status = client.get_worktree_status(task.id)
    assert (status.present, status.target_branch) == (True, "")
    assert tasks.changed(task) == ["work"]
    assert len(list(client.list_commits(task.id))) == 1
    # Which branch was checked out there nobody knows any more.
    with pytest.raises(taskgrove.BranchNotFound, match="name the target branch"):
        client.land(task.id)
    client.land(task.id, target_branch="main")
    assert (main / "work").exists()
    client.push_branch(task.id)
    assert repositories.head(origin, task.worktree.branch) == task.worktree.head_commit
    again = tasks.continued(task)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert tasks.changed(again) == ["more", "work"]
    client.discard_worktree(task.id)
    client.retry_task(other.id)
    failed = tasks_work.rest(client, other.id)
    assert failed.state == Task.STATE_FAILED
    assert "put one there again" in failed.failure.message
    # Nothing was put away before it was refused.
    assert Path(other.worktree.path, "work").exists()
    # As it says.
    if checkout.exists():
        checkout.rename(tmp_path / "put aside")
    repositories.git(main, "worktree", "add", "--quiet", "--force", str(checkout), "develop")
    client.retry_task(other.id)
    assert tasks_work.rest(client, other.id).state == Task.STATE_SUCCEEDED
    client.land(other.id)
    assert (checkout / "work").exists()
    removal = client.discard_worktree(other.id).removal
    assert removal.path == other.worktree.path
    assert repositories.worktree_paths(main) == [str(checkout)]


def test_a_retry_begins_at_the_lists_base_branch_without_its_working_dir(
    client: taskgrove.Client, tmp_path: Path
) -> None:
    checkout = layouts.linked(tmp_path / "place")
    tasks = Tasks(client, checkout, base_branch="main")
    task = tasks.run()
    remove_worktree(checkout)
    assert client.get_worktree_status(task.id).target_branch == "main"
    client.retry_task(task.id)
    again = tasks_work.rest(client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    client.land(task.id)
    assert (tmp_path / "place" / "main" / "work").exists()


def test_a_checkout_that_moved_away_from_its_git_directory_does_not_take_the_work_with_it(
    client: taskgrove.Client, tmp_path: Path
) -> None:
    checkout = layouts.separate(tmp_path / "place")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    moved = checkout.rename(tmp_path / "moved")
    assert tasks.changed(task) == ["work"]
    repositories.git(moved, "checkout", "--quiet", "-b", "elsewhere")
    client.land(task.id, target_branch="main")
    assert repositories.git(moved, "show", "main:work") == "work"
    removal = client.discard_worktree(task.id).removal
    assert removal.path == task.worktree.path


def test_a_repository_that_was_moved_is_found_behind_a_link(client: taskgrove.Client, tmp_path: Path) -> None:
    checkout = repositories.make_repository(tmp_path / "project")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    moved = checkout.rename(tmp_path / "moved")
    for call in (client.get_worktree_status, client.discard_worktree):
        with pytest.raises(taskgrove.RepositoryFailed):
            call(task.id)
    checkout.symlink_to(moved)
    assert tasks.changed(task) == ["work"]
    again = tasks.continued(task)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    client.land(task.id)
    assert (moved / "more").exists()
    assert client.discard_worktree(task.id).removal.path == task.worktree.path
    assert repositories.worktree_paths(moved) == []


@pytest.mark.parametrize("pruned", [False, True])
def test_the_work_of_a_deleted_list_is_found_by_its_repository(
    client: taskgrove.Client, tmp_path: Path, pruned: bool
) -> None:
    checkout = layouts.linked(tmp_path / "place")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    if pruned:
        client.prune_worktrees(task_list_id=tasks.task_list.id, rested_for=timedelta(0))
        assert not Path(task.worktree.path).exists()
    remove_worktree(checkout)
    client.delete_task_list(tasks.task_list.id)
    assert tasks.changed(task) == ["work"]
    client.land(task.id, target_branch="main")
    assert (tmp_path / "place" / "main" / "work").exists()
    assert client.discard_worktree(task.id).removal.branch == task.worktree.branch


def test_a_worktree_of_an_earlier_server_knows_its_repository_once_it_was_continued(
    server: RunningServer, client: taskgrove.Client, tmp_path: Path
) -> None:
    checkout = layouts.linked(tmp_path / "place")
    tasks = Tasks(client, checkout)
    task = tasks.run()
    tasks_work.execute(server, "UPDATE worktree SET common_dir = NULL")
    task = tasks.continued(task)
    remove_worktree(checkout)
    assert tasks.changed(task) == ["more", "work"]
