"""Work that git is told to pass over, or that git tools take away meanwhile, is work all the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_work
from support.server import RunningServer
from support.tasks_land import IDENTITY, Project
from taskgrove.v1.task_pb2 import Task

#: Lets git fetch submodules from this machine, which it does not without being told.
LOCAL = "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=protocol.file.allow GIT_CONFIG_VALUE_0=always; "

#: What keeps git from looking at a file.
FLAGS = ("--assume-unchanged", "--skip-worktree")


@pytest.fixture(scope="module")
def served() -> Iterator[RunningServer]:
    with RunningServer("--slots", "4") as server:
        yield server


@pytest.fixture
def project(served: RunningServer, tmp_path: Path) -> Iterator[Project]:
    with served.client() as client:
        yield Project(client, tmp_path / "a project")


def place_of(task: Task) -> Path:
    return Path(task.worktree.path)


def content(project: Project, revision: str, name: str) -> str:
    return project.git("cat-file", "blob", f"{revision}:{name}")


def changed(project: Project, task: Task) -> list[str]:
    return [file.path for file in project.client.list_changed_files(task.id)]


def flag(place: Path, name: str, *flags: str) -> None:
    for one in flags:
        repositories.git(place, "update-index", one, name)


def shell(command: str) -> None:
    """Runs a shell line as somebody who is at the server's machine."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**own, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["/bin/sh", "-c", IDENTITY + command], check=True, capture_output=True, env=environment)


def index_of(place: Path) -> bytes:
    return Path(repositories.git(place, "rev-parse", "--path-format=absolute", "--git-path", "index")).read_bytes()


@pytest.mark.parametrize("flags", [*((one,) for one in FLAGS), FLAGS])
def test_edits_of_files_that_git_does_not_look_at(project: Project, flags: tuple[str, ...]) -> None:
    project.commit("settings", "1\n")
    marks = "; ".join(f"git update-index {one} settings" for one in flags)
    task = project.run(f"{marks}; echo agent > settings")
    assert task.state == Task.STATE_SUCCEEDED
    assert content(project, task.worktree.head_commit, "settings") == "agent"
    assert changed(project, task) == ["settings"]
    flag(place_of(task), "settings", *flags)
    (place_of(task) / "settings").write_text("later\n", encoding="utf-8")
    before = index_of(place_of(task))
    assert project.client.get_worktree_status(task.id).uncommitted_files == 1
    assert "+later" in project.client.diff_worktree(task.id).text
    with pytest.raises(taskgrove.WorktreeDirty):
        project.client.land(task.id)
    assert index_of(place_of(task)) == before
    removal = project.client.discard_worktree(task.id).removal
    assert removal.uncommitted_files == 1
    assert content(project, removal.saved_ref, "settings") == "later"


def test_what_is_deleted_though_it_was_to_be_taken_for_unchanged(project: Project) -> None:
    project.commit("settings", "1\n")
    task = project.run("git update-index --assume-unchanged settings; rm settings")
    assert project.files(task.worktree.head_commit) == ["README.md", "src/main.py"]


@pytest.mark.parametrize("flag_of_setup", FLAGS)
def test_edits_of_files_that_a_setup_command_has_marked(
    served: RunningServer, tmp_path: Path, flag_of_setup: str
) -> None:
    settings = taskgrove.worktree_settings(setup_command=f"git update-index {flag_of_setup} README.md")
    with served.client() as client:
        project = Project(client, tmp_path / "p", settings)
        task = project.run("echo agent > README.md")
        project.client.land(task.id)
        assert (project.path / "README.md").read_text(encoding="utf-8") == "agent\n"


def test_a_sparse_checkout_stays_one(project: Project) -> None:
    project.commit("docs/page", "1\n")
    task = project.run("git sparse-checkout set src; test ! -e docs || exit 1; echo n > src/new")
    assert task.state == Task.STATE_SUCCEEDED
    assert changed(project, task) == ["src/new"]
    assert not (place_of(task) / "docs").exists()
    assert project.client.get_worktree_status(task.id).uncommitted_files == 0
    removal = project.client.discard_worktree(task.id).removal
    assert "docs/page" in project.files(removal.saved_ref)


@pytest.mark.parametrize("flag_inside", FLAGS)
def test_edits_in_a_submodule_that_git_does_not_look_at(project: Project, tmp_path: Path, flag_inside: str) -> None:
    origin = repositories.make_bare_repository(tmp_path / "library.git")
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(origin), "sub")
    project.git("commit", "--quiet", "--message", "A submodule")
    mark = f"git -C sub update-index {flag_inside} README.md"
    task = project.run(f"{LOCAL} git submodule --quiet update --init; {mark}; echo agent > sub/README.md")
    assert changed(project, task) == ["sub", "sub/README.md"]
    flag(place_of(task) / "sub", "README.md", flag_inside)
    (place_of(task) / "sub/README.md").write_text("later\n", encoding="utf-8")
    assert project.client.get_worktree_status(task.id).uncommitted_files == 1
    saved = project.client.discard_worktree(task.id).removal.saved_repositories
    assert [content(project, one.saved_ref, "README.md") for one in saved] == ["later"]


@pytest.mark.parametrize("flag_inside", FLAGS)
def test_edits_in_a_repository_of_the_agents_that_git_ignores(project: Project, flag_inside: str) -> None:
    project.commit(".gitignore", "own\n")
    task = project.run("git init -q own; cd own; echo 1 > file; git add file; git commit -q -m One")
    flag(place_of(task) / "own", "file", flag_inside)
    (place_of(task) / "own/file").write_text("later\n", encoding="utf-8")
    saved = project.client.discard_worktree(task.id).removal.saved_repositories
    assert [content(project, one.saved_ref, "file") for one in saved] == ["later"]


def test_a_setting_that_has_all_files_taken_for_unchanged(project: Project) -> None:
    project.git("config", "core.ignoreStat", "true")
    task = project.run("echo agent > README.md")
    assert changed(project, task) == ["README.md"]
    (place_of(task) / "README.md").write_text("later\n", encoding="utf-8")
    removal = project.client.discard_worktree(task.id).removal
    assert content(project, removal.saved_ref, "README.md") == "later"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo other > readme.md", ["README.md", "lib/a", "readme.md", "src/main.py"]),
        ("mkdir Lib; echo n > Lib/b", ["Lib/b", "README.md", "lib/a", "src/main.py"]),
        ("mv README.md Readme.md", ["Readme.md", "lib/a", "src/main.py"]),
        ("mv lib Lib", ["Lib/a", "README.md", "src/main.py"]),
    ],
)
def test_names_that_differ_by_case_where_the_repository_says_that_they_do_not(
    project: Project, command: str, expected: list[str]
) -> None:
    if Path(str(project.path).swapcase()).exists():
        pytest.skip("this disk does not tell them apart")
    project.commit("lib/a", "a\n")
    project.git("config", "core.ignoreCase", "true")
    task = project.run(command)
    assert project.files(task.worktree.head_commit) == expected
    assert project.client.get_worktree_status(task.id).uncommitted_files == 0
    more = project.client.get_task(task.id)
    (place_of(more) / "SRC").mkdir()
    (place_of(more) / "SRC/main.py").write_text("later\n", encoding="utf-8")
    removal = project.client.discard_worktree(task.id).removal
    assert content(project, removal.saved_ref, "SRC/main.py") == "later"


def test_work_is_not_removed_that_is_not_whole_in_the_repository(project: Project) -> None:
    task = project.run("echo work > work; git add work; git commit -q -m Work")
    blob = project.git("rev-parse", f"{task.worktree.head_commit}:work")
    lost = project.path / ".git/objects" / blob[:2] / blob[2:]
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(taskgrove.RepositoryFailed, match="Nothing was removed"):
        project.client.discard_worktree(task.id)
    assert (place_of(task) / "work").exists()
    assert project.refs(task.id) == []
    lost.write_bytes(kept)
    removal = project.client.discard_worktree(task.id).removal
    assert content(project, removal.saved_ref, "work") == "work"


def quoting(_task_id: str) -> str:
    return "git commit -q -m 'Read saved refs: Taskgrove-Snapshot: uncommitted'"


def imitating(task_id: str) -> str:
    lines = f"What task {task_id} had not committed\\n\\nTaskgrove-Task: {task_id}\\nTaskgrove-Snapshot: uncommitted\\n"
    return f"printf '{lines}' | git commit -q -F -"


@pytest.mark.parametrize("commit", [quoting, imitating])
def test_a_commit_of_the_agents_that_reads_as_a_snapshot(project: Project, commit: Callable[[str], str]) -> None:
    task = project.run("true")
    shell(f"cd '{place_of(task)}' && echo one > one && git add one && git commit -q -m One")
    shell(f"cd '{place_of(task)}' && echo two > two && git add two && {commit(task.id)}")
    removal = project.client.discard_worktree(task.id).removal
    assert {"one", "two"} <= set(project.files(removal.saved_ref))
    project.client.land(task.id)
    assert {"one", "two"} <= set(project.files())


def test_a_snapshot_to_which_the_agent_has_gone_on(project: Project) -> None:
    saved = "$(git for-each-ref --format='%(refname)' refs/taskgrove/saved)"
    again = f'if [ "$TASKGROVE_RESUMES" = 1 ]; then rm two; git merge -q --ff-only {saved}; exit; fi; '
    task = project.run(f"{again}echo one > one")
    (place_of(task) / "two").write_text("two\n", encoding="utf-8")
    first = project.client.discard_worktree(task.id).removal
    project.client.continue_task(task.id, "Go on")
    task = tasks_work.rest(project.client, task.id)
    assert task.worktree.head_commit == project.git("rev-parse", first.saved_ref)
    second = project.client.discard_worktree(task.id).removal
    assert "two" in project.files(second.saved_ref)
    project.client.land(task.id)
    assert {"one", "two"} <= set(project.files())


def test_a_worktree_that_somebody_has_moved(project: Project, tmp_path: Path) -> None:
    task = project.run("echo a > a")
    (place_of(task) / "later").write_text("later\n", encoding="utf-8")
    project.git("worktree", "move", "--force", "--force", task.worktree.path, str(tmp_path / "else where"))
    for call in (project.client.land, project.client.discard_worktree, project.client.check_land):
        with pytest.raises(taskgrove.RepositoryFailed, match="was moved to") as refused:
            call(task.id)
    assert project.git("rev-parse", "main") == task.worktree.base_commit
    assert (tmp_path / "else where/later").exists()
    shell(refused.value.message.partition("call again: ")[2])
    removal = project.client.discard_worktree(task.id).removal
    assert content(project, removal.saved_ref, "later") == "later"


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_that_is_deleted_under_its_worktree(project: Project, packed: bool) -> None:
    task = project.run("echo a > a; git add a; git commit -q -m A")
    if packed:
        project.git("pack-refs", "--all")
        assert project.client.check_land(task.id).can_land
    (place_of(task) / "later").write_text("later\n", encoding="utf-8")
    project.git("update-ref", "-d", f"refs/heads/{task.worktree.branch}")
    assert project.client.get_worktree_status(task.id).uncommitted_files == 1
    assert project.git("rev-parse", task.worktree.branch) == task.worktree.head_commit
    project.git("update-ref", "-d", f"refs/heads/{task.worktree.branch}")
    project.client.land(task.id, commit_uncommitted=True)
    assert {"a", "later"} <= set(project.files())


def test_a_branch_that_the_agent_deletes_under_its_worktree(project: Project) -> None:
    task = project.run("echo a > a; git add a; git commit -q -m A; git update-ref -d HEAD; echo b > b")
    assert project.files(task.worktree.head_commit) == ["README.md", "a", "b", "src/main.py"]
    assert project.git("rev-list", "--count", task.worktree.head_commit) == "3"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])
def test_a_repository_whose_path_has_a_separator_of_lines(
    served: RunningServer, tmp_path: Path, separator: str
) -> None:
    with served.client() as client:
        project = Project(client, tmp_path / f"a{separator}b")
        task = project.run("echo n > n")
        assert task.state == Task.STATE_SUCCEEDED
        removal = project.client.discard_worktree(task.id).removal
        assert content(project, removal.saved_ref, "n") == "n"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_branches_and_files_whose_names_have_separators_of_lines(project: Project, separator: str) -> None:
    own = f"git init -q own; cd own; git checkout -q -b 'x{separator}y'; echo 1 > file; git add .; git commit -qm 1"
    task = project.run(f"git branch 'a{separator}a'; echo n > 'n{separator}n'; {own}; git branch 'z{separator}z'")
    assert task.state == Task.STATE_SUCCEEDED
    assert changed(project, task) == [f"n{separator}n", "own/file"]
    (kept,) = project.client.discard_worktree(task.id).removal.saved_repositories
    refs = project.git("for-each-ref", "--format=%(refname)").split("\n")
    assert f"{kept.saved_ref}-refs/heads/z{separator}z" in refs


@pytest.mark.parametrize("name", ['"q.txt', "Icon\r"])
def test_raw_files_whose_names_git_reads_otherwise(project: Project, name: str) -> None:
    (project.path / name).write_bytes(b"a\r\nb\r\n")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Raw")
    (project.path / ".gitattributes").write_text("* text\n", encoding="utf-8")
    project.git("add", ".gitattributes")
    project.git("commit", "--quiet", "--message", "Text")
    written = name.replace("\r", "\\r")
    task = project.run(f"printf 'c\\r\\n' >> \"$(printf '{written}')\"")
    assert task.state == Task.STATE_SUCCEEDED
    assert changed(project, task) == [name]
