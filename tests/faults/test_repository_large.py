"""Work of many files: listed whole, from one computation, and with few questions to git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories
from support.git_counting import CountingGit
from support.server import RunningServer
from support.tasks_gates import PATIENCE
from support.tasks_land import Project
from taskgrove.v1 import worktree_service_pb2 as messages
from taskgrove.v1.change_pb2 import ChangedFile
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.worktree_service_pb2_grpc import WorktreeServiceStub

#: As many as a large renaming, a formatter or a vendored dependency touches.
MANY = 20_000


@pytest.fixture
def git(tmp_path: Path) -> CountingGit:
    return CountingGit(tmp_path / "counting")


@pytest.fixture
def server(git: CountingGit) -> Iterator[RunningServer]:
    with RunningServer(environment=git.environment) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[taskgrove.Client]:
    with server.client() as connected:
        yield connected


@pytest.fixture
def project(client: taskgrove.Client, tmp_path: Path) -> Project:
    return Project(client, tmp_path / "project")


def commit_many(project: Project, task: Task, count: int) -> None:
    """Has a task's branch add many files, without writing any of them to its worktree."""
    data = [b"blob\nmark :1\ndata 5\none\n\n\n"]
    data += [
        f"commit refs/heads/{task.worktree.branch}\ncommitter A <a@example.org> 4000000000 +0000\n".encode(),
        f"data 4\nMany\nfrom {task.worktree.head_commit}\n".encode(),
        *(f"M 100644 :1 d{number % 50:02}/file{number:06}\n".encode() for number in range(count)),
    ]
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=project.path, input=b"".join(data), check=True, timeout=PATIENCE
    )


def diffs(asked: list[str]) -> int:
    """Counts the comparisons of trees among what git was asked."""
    return sum("diff-tree" in question.split() for question in asked)


def many_names(count: int) -> list[str]:
    return sorted(f"d{number % 50:02}/file{number:06}" for number in range(count))


def test_twenty_thousand_files_are_listed_whole_from_one_computation(
    project: Project, client: taskgrove.Client, git: CountingGit
) -> None:
    task = project.run("echo x > x")
    commit_many(project, task, MANY)
    with git.counted() as asked:
        found = [file.path for file in client.list_changed_files(task.id, committed_only=True)]
    assert found == [*many_names(MANY), "x"]
    assert diffs(asked) == 1
    # Each page begins with none.
    assert len(asked) <= 5


def test_small_pages_come_from_one_computation_too(
    project: Project, client: taskgrove.Client, git: CountingGit
) -> None:
    task = project.run("for n in $(seq 30); do echo $n > file$n; done")
    with git.counted() as asked:
        found = list(client.list_changed_files(task.id, page_size=1))
    assert len(found) == 30
    assert diffs(asked) == 1
    assert all(file.insertions == 1 for file in found)


def test_two_listings_at_once_each_show_their_own_moment(
    project: Project, client: taskgrove.Client, git: CountingGit
) -> None:
    task = project.run("for n in 1 2 3; do echo $n > file$n; done")
    with git.counted() as asked:
        before = client.list_changed_files(task.id, page_size=1)
        first = [next(before).path]
        Path(task.worktree.path, "file0").write_text("new")
        after = client.list_changed_files(task.id, page_size=1)
        second = [next(after).path]
        for _ in range(2):
            first.append(next(before).path)
            second.append(next(after).path)
        second += [file.path for file in after]
        assert list(before) == []
    assert first == ["file1", "file2", "file3"]
    assert second == ["file0", "file1", "file2", "file3"]
    assert diffs(asked) == 2


def test_a_listing_goes_on_after_the_server_has_started_again(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        task = Project(client, tmp_path / "project").run("for n in 1 2 3 4; do echo $n > file$n; done")
        Path(task.worktree.path, "file2").write_text("edited, and not committed")
        request = messages.ListChangedFilesRequest(task_id=task.id, page_size=2)
        first = _page(client, request)
    Path(task.worktree.path, "file3").unlink()
    server.kill()
    server.start()
    with server.client() as client:
        request.page_token = first.next_page_token
        second = _page(client, request)
    assert [file.path for file in (*first.files, *second.files)] == ["file1", "file2", "file3", "file4"]
    assert [file.kind for file in second.files] == [ChangedFile.KIND_ADDED] * 2
    assert (first.total_files, first.total_insertions) == (second.total_files, second.total_insertions) == (4, 4)


def test_a_page_of_work_that_was_discarded_meanwhile_is_still_the_same(
    project: Project, client: taskgrove.Client
) -> None:
    task = project.run("for n in 1 2 3; do echo $n > file$n; done")
    files = client.list_changed_files(task.id, page_size=1)
    first = next(files).path
    client.discard_worktree(task.id)
    assert [first, *(file.path for file in files)] == ["file1", "file2", "file3"]


#: What each call asks git at most, of which it needs four, four and ten.
QUESTIONS = {"status": 5, "files": 5, "check": 11}


def ask(client: taskgrove.Client, call: str, task: Task) -> object:
    match call:
        case "status":
            return client.get_worktree_status(task.id)
        case "files":
            return list(client.list_changed_files(task.id))
        case _:
            return client.check_land(task.id)


@pytest.mark.parametrize("call", list(QUESTIONS))
def test_what_people_look_at_takes_few_questions_to_git(
    project: Project, client: taskgrove.Client, git: CountingGit, call: str
) -> None:
    task = project.run("echo x > x; echo more >> README.md")
    with git.counted() as asked:
        ask(client, call, task)
    assert len(asked) <= QUESTIONS[call], "\n".join(asked)


def test_the_answers_are_those_of_git_wherever_head_is_kept(project: Project, client: taskgrove.Client) -> None:
    task = project.run("echo x > x; git add x; git commit -qm One; git checkout -q --detach; echo y > y")
    worktree = task.worktree.path
    status = client.get_worktree_status(task.id)
    assert status.head_commit == repositories.head(Path(worktree))
    assert (status.target_branch, status.ahead, status.behind) == ("main", 2, 0)
    project.commit("README.md", "theirs")
    # As with core.preferSymlinkRefs.
    repositories.git(project.path, "branch", "other")
    head = project.path / ".git" / "HEAD"
    head.unlink()
    head.symlink_to("refs/heads/other")
    status = client.get_worktree_status(task.id)
    assert (status.target_branch, status.ahead, status.behind) == ("other", 2, 1)


def _page(client: taskgrove.Client, request: messages.ListChangedFilesRequest) -> messages.ListChangedFilesResponse:
    stub = WorktreeServiceStub(client._channel)  # pyright: ignore[reportPrivateUsage] - a page by itself
    return stub.ListChangedFiles(request, timeout=PATIENCE)
