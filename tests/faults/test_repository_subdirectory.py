"""A task starts in a directory of its repository, or is refused; it never starts somewhere else without a word."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove import errors
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.task_pb2 import Task, Worktree

APP = "packages/app"


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    made = Project(client, tmp_path / "project")
    made.commit(f"{APP}/main.py", "print('app')\n")
    return made


def enqueue(project: Project, subdirectory: str, command: str = "pwd -P", list_id: str = "") -> Task:
    """Enqueues a shell line that starts in a directory."""
    overrides = tasks_work.shell(command)
    return project.client.enqueue(
        list_id or project.task_list.id, "Do it", overrides=overrides, subdirectory=subdirectory
    )


def run(project: Project, subdirectory: str, command: str = "pwd -P", list_id: str = "") -> Task:
    """As `enqueue`, and returns the task at rest."""
    return tasks_work.rest(project.client, enqueue(project, subdirectory, command, list_id).id)


def printed(project: Project, task: Task) -> list[str]:
    """Returns what the task's agent has printed, over all runs."""
    return [line.json()["text"] for line in project.client.lines(task.id) if line.json().get("stream") == "stdout"]


def refusal(project: Project, subdirectory: str, list_id: str = "") -> str:
    """Returns why a task cannot start in a directory, after a look that it was not enqueued."""
    before = len(list(project.client.list_tasks()))
    with pytest.raises(errors.DirectoryNotFound) as refused:
        enqueue(project, subdirectory, list_id=list_id)
    assert refused.value.metadata["path"] == subdirectory
    assert len(list(project.client.list_tasks())) == before
    return refused.value.message


def link(project: Project, name: str, target: str | Path) -> None:
    """Commits a symbolic link."""
    (project.path / name).symlink_to(target)
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", f"Link {name}")


@pytest.mark.parametrize("given", [APP, f"{APP}/", f"./{APP}", "packages//app/.", f"{APP}/./"])
def test_the_agent_starts_in_the_subdirectory(project: Project, given: str) -> None:
    task = run(project, given, "pwd -P; echo made > made.txt; echo top > ../../top.txt")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert task.subdirectory == APP
    assert task.directory == f"{task.worktree.path}/{APP}"
    assert printed(project, task) == [os.path.realpath(task.directory)]
    # All of the worktree is the task's work, wherever its agent starts.
    assert {f"{APP}/made.txt", "top.txt"} < set(project.files(task.worktree.branch))


@pytest.mark.parametrize("given", ["", ".", "./", "././/"])
def test_the_top_has_several_names(project: Project, given: str) -> None:
    task = run(project, given)
    assert (task.subdirectory, task.directory) == ("", task.worktree.path)
    assert printed(project, task) == [os.path.realpath(task.worktree.path)]


def test_names_are_taken_to_the_letter(project: Project) -> None:
    for name in (":(top)x", "*", "a b", "-x", "ü/文", "[a]", "'q\"", "~", "...", ".github", "x.git"):
        project.commit(f"{name}/file", "content\n")
        task = run(project, name)
        assert task.state == Task.STATE_SUCCEEDED, task.failure
        assert printed(project, task) == [os.path.realpath(Path(task.worktree.path, name))]
    project.commit("only/file", "content\n")
    assert "no such directory" in refusal(project, "o*")


def test_a_directory_that_is_not_committed_is_refused_with_what_to_do(project: Project) -> None:
    (project.path / "packages/new").mkdir()
    (project.path / "packages/new/file").write_text("untracked\n")
    said = refusal(project, "packages/new")
    assert "HEAD has no such directory" in said
    assert "Commit something in it" in said
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "As advised")
    assert run(project, "packages/new").state == Task.STATE_SUCCEEDED


def test_the_base_branch_counts_where_the_list_has_one(project: Project) -> None:
    project.git("branch", "old", "HEAD~1")
    project.git("branch", "new")
    lists = {
        base: project.client.create_task_list(
            base, working_dir=project.path, worktree_settings=taskgrove.worktree_settings(base_branch=base)
        ).id
        for base in ("old", "new")
    }
    assert "the branch 'old' has no such directory" in refusal(project, APP, lists["old"])
    project.git("checkout", "--quiet", "old")
    assert run(project, APP, list_id=lists["new"]).state == Task.STATE_SUCCEEDED
    assert "HEAD has no such directory" in refusal(project, APP)
    project.git("branch", "-D", "new")
    with pytest.raises(errors.BranchNotFound):
        enqueue(project, APP, list_id=lists["new"])


def test_what_is_no_directory_is_refused_by_what_it_is(project: Project, tmp_path: Path) -> None:
    link(project, "inside", APP)
    link(project, "outside", tmp_path)
    other = repositories.make_repository(tmp_path / "other", {"lib/file": "x\n"})
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendor/other")
    project.git("commit", "--quiet", "--message", "Submodule")
    assert "'README.md' is a file" in refusal(project, "README.md")
    assert "'README.md' is a file" in refusal(project, "README.md/below")
    for name in ("inside", "outside", "inside/below", "outside/project"):
        first = name.split("/", maxsplit=1)[0]
        assert f"'{first}' is a symbolic link. Name the directory that it leads to" in refusal(project, name)
    for name in ("vendor/other", "vendor/other/lib"):
        assert "'vendor/other' is a submodule" in refusal(project, name)


def test_a_list_without_a_repository_has_no_subdirectories(client: taskgrove.Client) -> None:
    task_list = client.create_task_list("Sandboxes", defaults=tasks_work.shell("pwd"))
    with pytest.raises(errors.InvalidRequest) as refused:
        client.enqueue(task_list.id, "Do it", subdirectory=APP)
    assert [field for field, _ in refused.value.violations] == ["subdirectory"]
    assert tasks_work.rest(client, client.enqueue(task_list.id, "Do it", subdirectory=".").id).subdirectory == ""


def test_a_repository_that_cannot_be_asked_is_told_of(project: Project) -> None:
    project.git("checkout", "--quiet", "--orphan", "empty")
    with pytest.raises(errors.RepositoryEmpty):
        enqueue(project, APP)
    shutil.rmtree(project.path)
    with pytest.raises(errors.RepositoryFailed):
        enqueue(project, APP)
    # Git is not asked for a task that starts at the top: its run says what is wrong.
    assert enqueue(project, "").state == Task.STATE_QUEUED


def test_the_same_request_is_the_same_directory(project: Project) -> None:
    client, list_id, overrides = project.client, project.task_list.id, tasks_work.shell("true")

    def ask(subdirectory: str) -> Task:
        return client.enqueue(list_id, "Do it", overrides=overrides, subdirectory=subdirectory, request_id="once")

    first = ask(APP)
    with pytest.raises(errors.RequestIdReused):
        ask("packages")
    # A repeat does not ask whether the directory is there by now.
    project.git("rm", "-r", "--quiet", APP)
    project.git("commit", "--quiet", "--message", "Gone")
    assert ask(APP).id == first.id


def test_set_up_is_at_the_top(client: taskgrove.Client, tmp_path: Path) -> None:
    settings = taskgrove.worktree_settings(
        copied_files=[".env"], setup_command="pwd -P > .setup; echo '.*' > .gitignore"
    )
    project = Project(client, tmp_path / "project", settings)
    project.commit(f"{APP}/main.py", "print('app')\n")
    (project.path / ".env").write_text("SECRET=1\n")
    task = run(project, APP, "cat ../../.env; test ! -e .env")
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert printed(project, task) == ["SECRET=1"]
    assert Path(task.worktree.path, ".setup").read_text().strip() == os.path.realpath(task.worktree.path)


@pytest.mark.parametrize(
    "removal", [f"rm -r ../../{APP}", "rm -r ../../packages", "git rm -r -q --cached . && rm -r ../app"]
)
def test_a_continued_task_starts_in_the_same_directory_even_if_it_was_removed(project: Project, removal: str) -> None:
    task = run(project, APP, f'if [ "$TASKGROVE_RESUMES" = 0 ]; then {removal}; else pwd -P; echo again > again; fi')
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert not Path(task.directory).exists()
    project.client.continue_task(task.id, "Go on")
    again = tasks_work.rest(project.client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert again.directory == task.directory
    assert printed(project, again)[-1] == os.path.realpath(task.directory)
    assert f"{APP}/again" in project.files(again.worktree.branch)


def test_an_automatic_retry_starts_there_too(project: Project) -> None:
    task = run(project, APP, 'if [ "$TASKGROVE_RESUMES" = 0 ]; then rm -r ../app; exit 75; fi; pwd -P')
    assert task.state == Task.STATE_SUCCEEDED, task.failure
    assert task.run_count == 2
    assert printed(project, task) == [os.path.realpath(task.directory)]


def test_a_worktree_that_is_made_again_has_the_directory_again(project: Project) -> None:
    task = run(project, APP, "pwd -P; git rm -r -q --ignore-unmatch .")
    shutil.rmtree(task.worktree.path)
    project.client.continue_task(task.id, "Go on")
    again = tasks_work.rest(project.client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert printed(project, again) == [os.path.realpath(task.directory)] * 2


@pytest.mark.parametrize("where", ["packages", APP])
def test_a_link_that_leads_out_of_the_worktree_is_not_followed(project: Project, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    top = "../" * 2
    trap = f"cd {top}; rm -r {where}; ln -s {outside} {where}"
    task = run(project, APP, f'if [ "$TASKGROVE_RESUMES" = 0 ]; then {trap}; else echo here > here; fi')
    project.client.continue_task(task.id, "Go on")
    again = tasks_work.rest(project.client, task.id)
    assert (again.state, again.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_WORKTREE)
    assert "leads out" in again.failure.message
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("trap", ["echo x > app", "ln -s app app"])
def test_what_is_no_directory_any_more_fails_the_run_with_a_sentence(project: Project, trap: str) -> None:
    task = run(project, APP, f"cd ..; rm -r app; {trap}")
    project.client.continue_task(task.id, "Go on")
    again = tasks_work.rest(project.client, task.id)
    assert (again.state, again.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_WORKTREE)
    assert f"cannot start in '{APP}'" in again.failure.message
    # As advised, it goes on.
    Path(task.worktree.path, APP).unlink()
    Path(task.worktree.path, APP).mkdir()
    project.client.continue_task(task.id, "Go on")
    assert "cannot start" not in tasks_work.rest(project.client, task.id).failure.message
    project.client.retry_task(task.id)
    assert "cannot start" not in tasks_work.rest(project.client, task.id).failure.message
    assert project.client.get_task(task.id).run_count == 4


def test_a_link_within_the_worktree_is_followed(project: Project) -> None:
    move = "cd ../..; mkdir apps; mv packages/app apps/app; ln -s ../apps/app packages/app"
    task = run(project, APP, f'if [ "$TASKGROVE_RESUMES" = 0 ]; then {move}; else pwd -P; fi')
    project.client.continue_task(task.id, "Go on")
    again = tasks_work.rest(project.client, task.id)
    assert again.state == Task.STATE_SUCCEEDED, again.failure
    assert printed(project, again) == [os.path.realpath(Path(task.worktree.path, "apps/app"))]


def test_a_retry_from_a_base_without_the_directory_fails_and_leaves_the_work(project: Project) -> None:
    task = run(project, APP, "echo mine > mine.txt")
    project.git("rm", "-r", "--quiet", APP)
    project.git("commit", "--quiet", "--message", "Gone")
    project.client.retry_task(task.id)
    failed = tasks_work.rest(project.client, task.id)
    assert (failed.state, failed.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_WORKTREE)
    assert f"cannot start in '{APP}': the repository's HEAD has no such directory" in failed.failure.message
    # Nothing was touched: the earlier worktree is still there, and is worked on by a continue.
    assert failed.worktree == task.worktree
    assert failed.worktree.state == Worktree.STATE_PRESENT
    assert Path(task.directory, "mine.txt").read_text() == "mine\n"
    project.client.continue_task(task.id, "Go on")
    assert tasks_work.rest(project.client, task.id).state == Task.STATE_SUCCEEDED
    # Once it is there again, the retry works.
    project.commit(f"{APP}/main.py", "print('back')\n")
    project.client.retry_task(task.id)
    done = tasks_work.rest(project.client, task.id)
    assert done.state == Task.STATE_SUCCEEDED, done.failure
    assert done.directory == f"{done.worktree.path}/{APP}"


def test_a_base_that_moved_while_the_task_waited_fails_it_and_leaves_nothing(project: Project, tmp_path: Path) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        holders = [enqueue(project, "", gate.pass_through) for _ in range(4)]
        gate.wait_for_arrivals(4)
        waiting = enqueue(project, APP)
        project.git("rm", "-r", "--quiet", APP)
        project.git("commit", "--quiet", "--message", "Gone")
        gate.open()
    failed = tasks_work.rest(project.client, waiting.id)
    assert (failed.state, failed.failure.kind) == (Task.STATE_FAILED, FailureKind.FAILURE_KIND_WORKTREE)
    assert "no such directory" in failed.failure.message
    for holder in holders:
        tasks_work.rest(project.client, holder.id)
    assert failed.id not in "".join([*repositories.branches(project.path), *repositories.worktree_paths(project.path)])


def test_a_directory_that_a_sparse_checkout_leaves_out_fails_the_task(project: Project) -> None:
    project.commit("docs/page.md", "text\n")
    project.git("sparse-checkout", "set", APP)
    assert run(project, APP).state == Task.STATE_SUCCEEDED
    task = run(project, "docs")
    if task.state == Task.STATE_SUCCEEDED:
        # A git whose worktrees do not take over what is left out.
        assert Path(task.worktree.path, "docs/page.md").exists()
        return
    assert task.failure.kind == FailureKind.FAILURE_KIND_WORKTREE
    assert "sparse checkout leaves it out" in task.failure.message
    assert task.id not in "".join(repositories.worktree_paths(project.path))


def test_a_server_that_is_killed_starts_the_run_there_again(
    project: Project, server: RunningServer, tmp_path: Path
) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        task = enqueue(project, APP, f"{gate.pass_through}; pwd -P")
        gate.wait_for_arrivals()
        server.kill()
        server.start()
        assert project.client.get_task(task.id).subdirectory == APP
        gate.open()
    rested = tasks_work.rest(project.client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED, rested.failure
    assert printed(project, rested) == [os.path.realpath(rested.directory)]
