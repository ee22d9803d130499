"""The work of a task is shown: where it stands, its files, its diff, its commits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import taskgrove
from support import repositories, tasks_gates, tasks_work
from support.tasks_land import IDENTITY, Project
from taskgrove.v1.change_pb2 import ChangedFile


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def kinds(files: list[ChangedFile]) -> dict[str, str]:
    return {file.path: ChangedFile.Kind.Name(file.kind).removeprefix("KIND_") for file in files}


def test_the_files_and_the_diff_are_those_that_git_shows(project: Project) -> None:
    project.commit("old name", "one\ntwo\nthree\nfour\nfive\n")
    project.commit("gone", "gone\n")
    project.commit("link or file", "a file\n")
    command = """
        echo changed >> README.md; git mv 'old name' 'new nämé'; git rm -q gone; ln -sf README.md 'link or file'
        printf 'a\\0b' > binary; chmod +x README.md; printf 'no newline' > plain
        head -c 20000000 /dev/zero | tr '\\0' x > huge
    """
    task = project.run(command)
    files = list(project.client.list_changed_files(task.id))
    assert kinds(files) == {
        "README.md": "MODIFIED",
        "binary": "ADDED",
        "gone": "DELETED",
        "huge": "ADDED",
        "link or file": "TYPE_CHANGED",
        "new nämé": "RENAMED",
        "plain": "ADDED",
    }
    by_path = {file.path: file for file in files}
    assert by_path["new nämé"].old_path == "old name"
    assert (by_path["README.md"].insertions, by_path["README.md"].deletions) == (1, 0)
    assert (by_path["README.md"].old_mode, by_path["README.md"].mode) == ("100644", "100755")
    assert (by_path["plain"].old_mode, by_path["plain"].mode) == ("", "100644")
    assert by_path["binary"].binary
    assert by_path["huge"].binary
    diff = project.client.diff_worktree(task.id)
    assert [part.file for part in diff.files] == files
    assert (diff.summary.files, diff.summary.head_commit) == (7, task.worktree.head_commit)
    assert not diff.summary.has_uncommitted
    shown = subprocess.run(
        [
            *("git", "-c", "core.quotePath=false", "-c", "core.bigFileThreshold=16m", "diff", "--find-renames"),
            *(task.worktree.base_commit, task.worktree.head_commit),
        ],
        cwd=project.path,
        capture_output=True,
        check=True,
    )
    assert b"".join(part.patch for part in diff.files) == shown.stdout
    assert not any(part.truncated for part in diff.files)


def test_what_is_not_committed_is_shown_unless_unwanted(project: Project, tmp_path: Path) -> None:
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        work = "echo committed > one; git add one; git commit -qm One; echo more > two"
        command = f"{IDENTITY} {work}; {gate.pass_through}; exit 1"
        task = project.client.enqueue(project.task_list.id, "Do it", overrides=tasks_work.shell(command))
        gate.wait_for_arrivals()
        # While the agent works.
        assert kinds(list(project.client.list_changed_files(task.id))) == {"one": "ADDED", "two": "ADDED"}
        gate.open()
        tasks_work.rest(project.client, task.id)
    worktree = Path(project.client.get_task(task.id).worktree.path)
    before = repositories.git(worktree, "status", "--porcelain")
    committed = list(project.client.list_changed_files(task.id, committed_only=True))
    assert kinds(committed) == {"one": "ADDED"}
    assert project.client.diff_worktree(task.id).summary.has_uncommitted
    assert not project.client.diff_worktree(task.id, committed_only=True).summary.has_uncommitted
    assert repositories.git(worktree, "status", "--porcelain") == before == "?? two"
    status = project.client.get_worktree_status(task.id)
    assert (status.present, status.uncommitted_files, status.ahead, status.behind) == (True, 1, 1, 0)
    assert not status.landed
    assert status.size_bytes > 0


def test_a_diff_is_kept_to_paths_and_bounds(project: Project) -> None:
    task = project.run("mkdir -p a/b; seq 1 100000 > a/b/long; echo x > 'a/*'; echo y > ab; seq 1 9 > README.md")
    assert kinds([part.file for part in project.client.diff_worktree(task.id, paths=["a"]).files]) == {
        "a/*": "ADDED",
        "a/b/long": "ADDED",
    }
    # Taken literally.
    assert len(project.client.diff_worktree(task.id, paths=["a/*"]).files) == 1
    (cut,) = project.client.diff_worktree(task.id, paths=["a/b"], max_patch_bytes=5000).files
    assert cut.truncated
    assert 4900 < len(cut.patch) <= 5000
    assert cut.patch.endswith(b"\n")
    whole = project.client.diff_worktree(task.id, paths=["a/b"]).files[0]
    assert not whole.truncated
    assert whole.patch.startswith(cut.patch)
    assert project.client.diff_worktree(task.id, paths=["nowhere"]).files == []
    assert len(project.client.diff_worktree(task.id, context_lines=0, paths=["README.md"]).files) == 1


def test_the_pages_of_a_listing_show_one_moment(project: Project) -> None:
    command = 'for i in $(seq -w 1 25); do echo $i > file$i; git add .; git commit -qm "Commit $i"; done'
    task = project.run(command)
    assert [file.path for file in project.client.list_changed_files(task.id, page_size=7)] == [
        f"file{number:02}" for number in range(1, 26)
    ]
    files = project.client.list_changed_files(task.id, page_size=10)
    commits = project.client.list_commits(task.id, page_size=10)
    first = [next(files).path for _ in range(10)], [next(commits).subject for _ in range(10)]
    Path(task.worktree.path, "file00").write_text("before all others")
    repositories.commit(task.worktree.path, {"file00": "more"}, "Newest")
    assert [*first[0], *(file.path for file in files)] == [f"file{number:02}" for number in range(1, 26)]
    assert [*first[1], *(commit.subject for commit in commits)] == [
        f"Commit {number:02}" for number in range(25, 0, -1)
    ]
    assert next(project.client.list_commits(task.id)).subject == "Newest"


def test_a_commit_is_shown_as_it_was_made(project: Project) -> None:
    task = project.run(
        "echo x > x; git add x; export GIT_AUTHOR_NAME='Ädä' GIT_AUTHOR_EMAIL=ada@example.org; "
        "GIT_AUTHOR_DATE='1700000000 +0200' git commit -qm 'First line' -m 'Body one' -m 'Body two'"
    )
    (commit,) = project.client.list_commits(task.id)
    assert commit.id == task.worktree.head_commit
    assert (commit.subject, commit.body) == ("First line", "Body one\n\nBody two")
    assert (commit.author_name, commit.author_email) == ("Ädä", "ada@example.org")
    assert commit.author_time.seconds == 1700000000
    assert list(commit.parent_ids) == [task.worktree.base_commit]


def test_names_and_content_that_are_no_utf8_are_shown_all_the_same(project: Project) -> None:
    task = project.run("printf 'b\\377se\\n' > \"$(printf 'n\\377me')\"")
    (file,) = project.client.list_changed_files(task.id)
    assert (file.path, file.raw_path) == ("n\N{REPLACEMENT CHARACTER}me", b"n\xffme")
    (part,) = project.client.diff_worktree(task.id).files
    assert b"+b\xffse\n" in part.patch


def test_work_is_compared_with_what_it_has_in_common_with_its_target(project: Project) -> None:
    task = project.run("echo mine > mine")
    project.commit("theirs", "theirs")
    status = project.client.get_worktree_status(task.id)
    assert (status.target_branch, status.ahead, status.behind) == ("main", 1, 1)
    assert kinds(list(project.client.list_changed_files(task.id))) == {"mine": "ADDED"}
    # The agent brings its branch up to date: what came from the target is not its work.
    repositories.git(task.worktree.path, "merge", "-q", "--no-edit", "main")
    assert kinds(list(project.client.list_changed_files(task.id))) == {"mine": "ADDED"}
    project.git("branch", "other", "main~1")
    assert kinds(list(project.client.list_changed_files(task.id, target_branch="other"))) == {
        "mine": "ADDED",
        "theirs": "ADDED",
    }


def test_what_cannot_be_shown_is_told(project: Project, client: taskgrove.Client, tmp_path: Path) -> None:
    sandboxed = tasks_work.run(client, "true")
    with pytest.raises(taskgrove.NoWorktree):
        client.get_worktree_status(sandboxed.id)
    task = project.run("echo x > x")
    for branch in ("nowhere", "main~1", "HEAD"):
        with pytest.raises((taskgrove.BranchNotFound, taskgrove.InvalidRequest)):
            client.get_worktree_status(task.id, target_branch=branch)
    project.git("worktree", "remove", "--force", "--force", task.worktree.path)
    assert kinds(list(client.list_changed_files(task.id))) == {"x": "ADDED"}
    assert not client.get_worktree_status(task.id).present
    project.git("branch", "-D", task.worktree.branch)
    # The recorded commit is still there, until git forgets it.
    assert kinds(list(client.list_changed_files(task.id))) == {"x": "ADDED"}
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    with pytest.raises(taskgrove.WorkMissing):
        client.get_worktree_status(task.id)
    project.path.rename(tmp_path / "moved")
    with pytest.raises(taskgrove.RepositoryFailed):
        client.get_worktree_status(task.id)
