"""Worktrees and sandboxes go whole or not at all; what resists is told, keeps no other task, and is never committed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

import taskgrove
from support import cli_shell, repositories, stubborn_trees, tasks_gates, tasks_work
from support.server import RunningServer
from support.tasks_land import Project
from taskgrove.v1.task_pb2 import Task, Worktree

#: Commits a file, leaves another uncommitted, and writes what git ignores; on another run, one more file.
WORK = (
    "if [ -e committed ]; then cat > again; else echo build/ > .gitignore; echo mine > committed; "
    "git add .; git commit -qm Work; echo more > uncommitted; mkdir -p build/inner; touch build/inner/object; "
    "exit 1; fi"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of the test's own, which kills itself where a test says."""
    environment = {"TASKGROVE_TEST_DEATH": str(tmp_path / "death"), "PYTHONPATH": str(Path(__file__).parents[1])}
    running = RunningServer("--slots", "4", module="support.mortal_server", environment=environment)
    with running, stubborn_trees.released(running.root / "data"):
        yield running


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A directory of the user's that is mounted in worktrees, with a file that must not be removed."""
    directory = tmp_path / "precious"
    (directory / "inner").mkdir(parents=True)
    (directory / "inner/file").write_text("precious")
    return directory


def deep(build: Path, _precious: Path) -> None:
    stubborn_trees.nest(build, 1200)


def long(build: Path, _precious: Path) -> None:
    stubborn_trees.nest(build, 40, "n" * 200)


def shut(build: Path, _precious: Path) -> None:
    for name in ("read-only", "shut"):
        (build / name).mkdir()
        (build / name / "file").touch()
    (build / "read-only").chmod(0o500)
    (build / "shut").chmod(0)


def bound(build: Path, precious: Path) -> None:
    stubborn_trees.mount(build / "a/b/mounted", precious)


def disk(build: Path, _precious: Path) -> None:
    stubborn_trees.mount(build / "mounted")
    (build / "mounted/file").touch()


def protected(build: Path, _precious: Path) -> None:
    (build / "a").mkdir()
    (build / "a/protected").touch()
    stubborn_trees.protect(build / "a/protected")


#: What makes trees that are hard to remove, and whether anything of them stays.
KINDS: dict[str, tuple[Callable[[Path, Path], None], bool]] = {
    "deep": (deep, False),
    "long": (long, False),
    "shut": (shut, False),
    "bound": (bound, True),
    "disk": (disk, True),
    "protected": (protected, True),
}

kinds = pytest.mark.parametrize("kind", KINDS)


def release(path: str) -> None:
    """Takes away what keeps a directory from being removed."""
    for mounted in stubborn_trees.mounts(Path(path)):
        subprocess.run(["umount", mounted], check=True)
    subprocess.run(["chattr", "-R", "-f", "-ia", path], capture_output=True, check=False)


def assert_nothing_was_lost(project: Project, task: Task, precious: Path) -> None:
    """Fails the test unless the task, continued, has all its work, and nothing committed that it did not do."""
    continued = tasks_work.rest(project.client, project.client.continue_task(task.id, "Go on").id)
    assert continued.state == Task.STATE_SUCCEEDED, continued.failure
    branch = continued.worktree.branch
    changes = project.git("diff", "--name-status", "main", branch).splitlines()
    assert changes == ["A\t.gitignore", "A\tagain", "A\tcommitted", "A\tuncommitted"]
    assert project.git("show", f"{branch}:uncommitted") == "more"
    assert (precious / "inner/file").read_text() == "precious"


@kinds
def test_a_discarded_worktree_is_gone_and_its_work_is_not(
    project: Project, server: RunningServer, precious: Path, kind: str
) -> None:
    task = project.run(WORK)
    path = Path(task.worktree.path)
    make, stays = KINDS[kind]
    make(path / "build", precious)
    assert project.client.get_worktree_status(task.id).uncommitted_files == 1
    discarded = project.client.discard_worktree(task.id)
    assert discarded.task.worktree.state == Worktree.STATE_DISCARDED
    assert not os.path.lexists(path)
    assert str(path) not in repositories.worktree_paths(project.path)
    left = discarded.removal.leftover_path
    assert bool(left) == stays
    again = project.client.discard_worktree(task.id).removal
    assert (again.path, again.branch, again.leftover_path) == ("", "", left)
    if left:
        assert Path(left).is_dir()
        assert project.client.discard_worktree(task.id, dry_run=True).removal.leftover_path == left
        # Of all the rest nothing is there.
        assert not {file.name for file in Path(left).rglob("*")} & {"committed", "object", ".git"}
        assert server.log.read_text().count(f"Not all of {left} could be removed") == 1
    assert_nothing_was_lost(project, task, precious)
    if left:
        release(left)
        assert project.client.discard_worktree(task.id).removal.leftover_path == ""
    assert list((path.parent / ".removed").iterdir()) == []
    assert (precious / "inner/file").read_text() == "precious"


@kinds
def test_a_task_is_done_anew_whatever_its_old_worktree_has(project: Project, precious: Path, kind: str) -> None:
    task = project.run(WORK)
    make, _ = KINDS[kind]
    make(Path(task.worktree.path, "build"), precious)
    project.client.retry_task(task.id)
    anew = tasks_work.rest(project.client, task.id)
    # It began without the file of its first life, and so did the same.
    assert (anew.run_count, anew.failure.kind) == (2, task.failure.kind)
    assert project.files(anew.worktree.saved_ref) == sorted(
        [".gitignore", "README.md", "committed", "src/main.py", "uncommitted"]
    )
    assert (precious / "inner/file").read_text() == "precious"


def test_one_bad_tree_keeps_no_other_from_being_pruned(project: Project, server: RunningServer, precious: Path) -> None:
    tasks = [project.run(WORK) for _ in range(5)]
    # What no call is prepared for.
    impossible = project.run(WORK)
    tasks_work.execute(server, "UPDATE worktree SET path = ? WHERE task_id = ?", "/im\0possible", impossible.id)
    tasks.append(project.run(WORK))
    paths = [Path(task.worktree.path) for task in tasks]
    bound(paths[0] / "build", precious)
    stubborn_trees.mount(paths[1], paths[1])
    deep(paths[2] / "build", precious)
    # Git's own record of the fourth is broken.
    git_dir = Path((paths[3] / ".git").read_text().removeprefix("gitdir: ").strip())
    (git_dir / "index").write_bytes(b"broken")
    pruned = project.client.prune_worktrees(rested_for=timedelta())
    removed = [tasks[0], tasks[2], tasks[4], tasks[5]]
    assert [removal.task_id for removal in pruned.removals] == [task.id for task in removed]
    assert [bool(removal.leftover_path) for removal in pruned.removals] == [True, False, False, False]
    assert (pruned.failures, pruned.more) == (3, False)
    assert [os.path.lexists(path) for path in paths] == [False, True, False, True, False, False]
    assert f"The worktree of task {impossible.id} could not be pruned: embedded null byte" in server.log.read_text()
    for task in removed:
        assert_nothing_was_lost(project, task, precious)


def test_a_worktree_that_cannot_be_taken_away_stays_as_it_is(project: Project, precious: Path) -> None:
    task = project.run(WORK)
    path = Path(task.worktree.path)
    stubborn_trees.mount(path, path)
    before = sorted(path.rglob("*"))
    for _ in range(2):
        with pytest.raises(taskgrove.RepositoryFailed, match=r"nothing of it was touched: .*umount"):
            project.client.discard_worktree(task.id)
        assert sorted(path.rglob("*")) == before
        status = project.client.get_worktree_status(task.id)
        assert (status.present, status.uncommitted_files) == (True, 1)
        assert project.git("rev-parse", task.worktree.branch) == status.head_commit
    subprocess.run(["umount", str(path)], check=True)
    assert project.client.discard_worktree(task.id).removal.path == str(path)
    assert_nothing_was_lost(project, task, precious)


@kinds
def test_a_task_is_deleted_with_its_sandbox(
    client: taskgrove.Client, server: RunningServer, precious: Path, kind: str
) -> None:
    task = tasks_work.run(client, "mkdir build; touch file")
    sandbox = Path(task.directory)
    make, stays = KINDS[kind]
    make(sandbox / "build", precious)
    left = client.delete_task_response(task.id, discard_worktree=True).leftover_path
    assert not sandbox.exists()
    assert bool(left) == stays
    if left:
        assert not (Path(left) / "file").exists()
        release(left)
        # The next server's first round.
        assert server.terminate() == 0
        server.start()
        tasks_gates.until(lambda: not Path(left).exists(), f"the end of {left}")
    assert list((sandbox.parent / ".removed").iterdir()) == []
    assert (precious / "inner/file").read_text() == "precious"


def test_files_that_git_can_never_save_are_not_removed(project: Project) -> None:
    task = project.run(WORK)
    path = Path(task.worktree.path)
    (path / "notes").mkdir()
    stubborn_trees.nest(path / "notes", 40, "n" * 200)
    with pytest.raises(taskgrove.RepositoryFailed, match=r"nothing of it was touched: .*\.gitignore"):
        project.client.discard_worktree(task.id)
    assert (path / "committed").exists()
    with (path / ".gitignore").open("a") as ignored:
        ignored.write("notes/\n")
    removal = project.client.discard_worktree(task.id).removal
    assert (removal.path, removal.leftover_path) == (str(path), "")


def test_a_task_stays_while_its_sandbox_cannot_be_taken_away(client: taskgrove.Client) -> None:
    task = tasks_work.run(client, "touch file")
    sandbox = Path(task.directory)
    stubborn_trees.mount(sandbox, sandbox)
    with pytest.raises(taskgrove.RepositoryFailed, match=r"nothing of it was touched: .*umount"):
        client.delete_task(task.id, discard_worktree=True)
    assert client.get_task(task.id).directory == str(sandbox)
    assert (sandbox / "file").exists()
    subprocess.run(["umount", str(sandbox)], check=True)
    assert client.delete_task(task.id, discard_worktree=True) is None
    assert not sandbox.exists()


#: Steps of a discard, in their order, at which the server is killed, and whether the worktree is still there then.
STEPS = {
    "before it is set aside": ("os.rename {id} .removed", True),
    "before git forgets it": ("subprocess.Popen worktree remove", False),
    "before its branch goes": ("subprocess.Popen update-ref -d refs/heads/", False),
    "before its first file goes": ("os.remove .gitignore", False),
    "in the middle of it": ("os.remove object", False),
    "before the rest of it goes": ("os.rmdir {id}-1", False),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("then", ["discard", "continue"])
def test_killed_at_each_step_of_a_discard(
    project: Project, server: RunningServer, tmp_path: Path, precious: Path, step: str, then: str
) -> None:
    task = project.run(WORK)
    path = Path(task.worktree.path)
    event, present = STEPS[step]
    death = tmp_path / "death"
    death.write_text(event.format(id=task.id))
    with pytest.raises(taskgrove.ServerUnavailable):
        project.client.discard_worktree(task.id)
    # Dead it is: only its parent has still to hear of it.
    server.kill()
    death.unlink()
    assert (path / ".git").exists() == (path / "uncommitted").exists() == present
    server.start()
    # Housekeeping goes on with what was begun.
    tasks_gates.until(lambda: not list(path.parent.glob(".removed/*")), "the end of what was set aside")
    if then == "discard":
        discarded = project.client.discard_worktree(task.id)
        assert discarded.task.worktree.state == Worktree.STATE_DISCARDED
        assert discarded.removal.saved_ref == discarded.task.worktree.saved_ref
        assert {"committed", "uncommitted"} <= set(project.files(discarded.removal.saved_ref))
        assert not path.exists()
        assert task.worktree.branch not in repositories.branches(project.path)
    assert_nothing_was_lost(project, task, precious)


def test_what_the_command_line_says_of_leftovers_leads_out(
    project: Project, server: RunningServer, tmp_path: Path, precious: Path
) -> None:
    tasks = [project.run(WORK) for _ in range(3)]
    for task in tasks:
        build = Path(task.worktree.path, "build")
        bound(build, precious)
        (build / "a/protected").touch()
        stubborn_trees.protect(build / "a/protected")
    shell = cli_shell.Shell(server, tmp_path)
    said = [
        shell.text("discard", "--yes", tasks[0].id),
        shell.text("prune", "--rested-for", "0s"),
        shell.text("rm", "--yes", "--discard-worktree", tasks[1].id),
    ]
    assert "some of its files could not be removed" in said[0]
    commands = [line.strip() for text in said for line in text.splitlines() if re.match(r"  (findmnt|sudo) ", line)]
    assert commands
    for command in commands:
        # With the one difference that root needs no sudo.
        line = re.sub(r"\bsudo ", "", command)
        subprocess.run(["sh", "-c", line], check=False, env={**os.environ, "USER": str(os.geteuid())}, timeout=60)
    assert (precious / "inner/file").read_text() == "precious"
    for task in tasks:
        with suppress(taskgrove.TaskNotFound):
            assert project.client.discard_worktree(task.id).removal.leftover_path == ""
    assert server.terminate() == 0
    server.start()
    place = Path(tasks[0].worktree.path).parent / ".removed"
    tasks_gates.until(lambda: list(place.iterdir()) == [], "the end of what was left")
