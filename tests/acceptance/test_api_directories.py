"""Which directories a list may name, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from support import api_server, repositories
from support.api_calls import request
from support.api_server import ApiServer

_Code = grpc.StatusCode


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two directories that the server may use."""
    base = tmp_path_factory.mktemp("roots")
    (base / "one").mkdir()
    (base / "two").mkdir()
    return base / "one", base / "two"


@pytest.fixture(scope="module")
def server(roots: tuple[Path, Path]) -> Iterator[ApiServer]:
    flags = [part for root in roots for part in ("--allowed-roots", str(root))]
    with api_server.serve(*flags) as running:
        yield running


@pytest.fixture
def place(roots: tuple[Path, Path], tmp_path: Path) -> Path:
    """A directory of the test's own below a root."""
    path = roots[0] / tmp_path.name
    path.mkdir()
    return path


def refused(server: ApiServer, working_dir: Path | str, *checkouts: Path) -> tuple[grpc.StatusCode, str | None]:
    refusal = server.refuse(request("CreateTaskList", title="x", working_dir=str(working_dir)), *checkouts)
    assert refusal.metadata == {"path": str(working_dir)}
    assert repr(str(working_dir)) in refusal.message
    return refusal.code, refusal.reason


def test_a_repository_below_a_root_is_taken(server: ApiServer, place: Path, roots: tuple[Path, Path]) -> None:
    for path in (repositories.make_repository(place / "a"), repositories.make_repository(roots[1] / "b")):
        assert server.client.create_task_list("x", working_dir=path).working_dir == str(path)


def test_a_path_is_kept_without_symbolic_links_and_dots(server: ApiServer, place: Path) -> None:
    repository = repositories.make_repository(place / "a")
    (place / "link").symlink_to(repository)
    for path in (place / "link", f"{repository}/", f"{place}/./b/../a"):
        created = server.call("CreateTaskList", title="x", working_dir=str(path)).task_list
        assert created.working_dir == str(repository)
    found = server.call("ListTaskLists", working_dir=str(place / "link")).task_lists
    assert len(found) == 3


def test_a_linked_worktree_is_taken(server: ApiServer, place: Path) -> None:
    repository = repositories.make_repository(place / "a")
    repositories.git(repository, "worktree", "add", "--quiet", str(place / "linked"))
    created = server.client.create_task_list("x", working_dir=place / "linked")
    assert created.working_dir == str(place / "linked")


def test_a_detached_head_is_taken_and_its_commit_is_the_base(server: ApiServer, place: Path) -> None:
    repository = repositories.make_repository(place / "a")
    first = repositories.head(repository)
    repositories.commit(repository, {"more.txt": "more\n"}, "Second")
    repositories.git(repository, "checkout", "--quiet", "--detach", first)
    project = server.client.create_task_list("x", working_dir=repository, defaults=api_server.AT_ONCE)
    task = server.client.wait(server.client.enqueue(project.id, "Works").id)
    assert (task.state, task.worktree.base_commit) == (task.STATE_SUCCEEDED, first)
    assert repositories.git(repository, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"


def test_a_repository_without_a_commit_is_refused(server: ApiServer, place: Path) -> None:
    repository = repositories.make_empty_repository(place / "a")
    assert refused(server, repository, repository) == (_Code.FAILED_PRECONDITION, "REPOSITORY_EMPTY")


def test_a_bare_repository_is_refused(server: ApiServer, place: Path) -> None:
    repository = repositories.make_bare_repository(place / "a")
    assert refused(server, repository, repository) == (_Code.INVALID_ARGUMENT, "REPOSITORY_BARE")


def test_what_is_not_the_top_of_a_repository_is_refused(server: ApiServer, place: Path) -> None:
    repository = repositories.make_repository(place / "a")
    (place / "plain").mkdir()
    for path in (place / "plain", repository / "src", repository / ".git", repository / ".git" / "refs"):
        assert refused(server, path, repository) == (_Code.INVALID_ARGUMENT, "NOT_A_REPOSITORY")


def test_what_is_no_directory_is_refused(server: ApiServer, place: Path) -> None:
    (place / "file").write_text("", encoding="utf-8")
    (place / "dangling").symlink_to(place / "nowhere")
    (place / "loop").symlink_to(place / "loop")
    for name in ("nowhere", "file", "dangling", "loop", "file/below", "n" * 300):
        assert refused(server, place / name, place) == (_Code.INVALID_ARGUMENT, "DIRECTORY_NOT_FOUND")


def test_what_lies_outside_the_roots_is_refused_whether_or_not_it_is_there(
    server: ApiServer, place: Path, roots: tuple[Path, Path]
) -> None:
    outside = repositories.make_repository(roots[0].parent / "outside" / place.name)
    (place / "link").symlink_to(outside)
    for path in (
        outside,
        place / "link",
        f"{roots[0]}/../outside/{place.name}",
        f"{roots[0]}beyond",
        roots[0].parent,
        "/",
        "/etc/shadow",
        "/nowhere/at/all",
    ):
        assert refused(server, path, outside) == (_Code.PERMISSION_DENIED, "PATH_NOT_ALLOWED")


def test_a_list_may_only_be_listed_by_a_path_that_is_one(server: ApiServer) -> None:
    with server.unchanged():
        assert not server.call("ListTaskLists", working_dir="/nowhere/at/all").task_lists


def test_an_agent_definition_outside_the_roots_is_refused(
    server: ApiServer, place: Path, roots: tuple[Path, Path]
) -> None:
    (place / "link.md").symlink_to("/etc/hostname")
    project = server.client.create_task_list("x")
    for path in ("/etc/hostname", str(place / "link.md"), f"{roots[0]}/../agent.md"):
        config = {"agent_path": path}
        for message in (
            request("CreateTaskList", title="x", defaults=config),
            request("UpdateTaskList", task_list_id=project.id, defaults=config),
            request("Enqueue", task_list_id=project.id, title="x", overrides=config),
        ):
            refusal = server.refuse(message)
            assert (refusal.code, refusal.reason) == (_Code.PERMISSION_DENIED, "PATH_NOT_ALLOWED")
            assert refusal.metadata == {"path": path}


def test_an_agent_definition_below_a_root_is_taken(server: ApiServer, place: Path) -> None:
    config = {"agent_path": str(place / "not-there-yet.md")}
    assert (
        server.call("CreateTaskList", title="x", defaults=config).task_list.defaults.agent_path == config["agent_path"]
    )


def test_without_roots_a_repository_may_lie_anywhere(tmp_path: Path) -> None:
    repository = repositories.make_repository(tmp_path / "a")
    with api_server.serve() as anywhere:
        assert anywhere.client.create_task_list("x", working_dir=repository).working_dir == str(repository)
