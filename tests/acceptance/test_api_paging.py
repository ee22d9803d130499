"""Lists in pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support import api_server, repositories
from support.api_calls import request
from support.api_server import NOBODY, ApiServer
from taskgrove.v1.task_pb2 import Task

COUNT = 7

#: What a page may have: near 1 MiB, and one more thing, which itself may be as large.
LARGEST_PAGE = 2 << 20


@dataclass(frozen=True, slots=True)
class Paged:
    """One of the methods that return pages, with the ids of all that it lists, in order."""

    method: str
    fields: dict[str, Any]
    ids: list[str]

    def request(self, **more: Any) -> Any:
        return request(self.method, **{**self.fields, **more})


def ids_of(page: Any) -> list[str]:
    for name in ("tasks", "runs", "task_lists"):
        if hasattr(page, name):
            return [thing.id for thing in getattr(page, name)]
    raise AssertionError(page)


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve_busy() as busy:
        yield busy


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repositories.make_repository(tmp_path_factory.mktemp("paging") / "repository")


@pytest.fixture(scope="module")
def task_list_id(server: ApiServer) -> str:
    return server.client.create_task_list("Pages").id


@pytest.fixture(scope="module")
def tasks(server: ApiServer, task_list_id: str) -> Paged:
    made = [server.client.enqueue(task_list_id, f"Task {number}").id for number in range(COUNT)]
    return Paged("ListTasks", {"task_list_id": task_list_id}, made[::-1])


@pytest.fixture(scope="module")
def task_lists(server: ApiServer, repository: Path) -> Paged:
    made = [server.client.create_task_list(f"{number}", working_dir=repository).id for number in range(COUNT)]
    return Paged("ListTaskLists", {"working_dir": str(repository)}, made[::-1])


@pytest.fixture(scope="module")
def runs() -> Iterator[tuple[ApiServer, Paged]]:
    with api_server.serve() as idle:
        task = idle.resting_task(idle.client.create_task_list("Runs").id)
        for number in range(COUNT - 1):
            idle.client.continue_task(task.id, f"{number}")
            idle.client.wait(task.id)
        made = [run.id for run in idle.client.list_runs(task.id)]
        yield idle, Paged("ListRuns", {"task_id": task.id}, made)


@pytest.fixture(params=["tasks", "task_lists", "runs"])
def listing(request: pytest.FixtureRequest) -> tuple[ApiServer, Paged]:
    """Each of the three methods with a server that has COUNT things to list."""
    if request.param == "runs":
        served: tuple[ApiServer, Paged] = request.getfixturevalue("runs")
        return served
    return request.getfixturevalue("server"), request.getfixturevalue(request.param)


@pytest.mark.parametrize("size", range(1, COUNT + 2))
def test_pages_of_every_size_hold_all_things_once_in_order(listing: tuple[ApiServer, Paged], size: int) -> None:
    server, paged = listing
    with server.unchanged():
        pages = [ids_of(page) for page in server.api.pages(paged.request(page_size=size))]
    assert [thing for page in pages for thing in page] == paged.ids
    assert [len(page) for page in pages] == [size] * (COUNT // size) + ([COUNT % size] if COUNT % size else [])


def test_runs_come_in_the_order_of_their_numbers(runs: tuple[ApiServer, Paged]) -> None:
    server, paged = runs
    numbers = [run.number for page in server.api.pages(paged.request(page_size=2)) for run in page.runs]
    assert numbers == list(range(1, COUNT + 1))


def test_the_client_library_walks_all_pages(
    server: ApiServer, tasks: Paged, task_lists: Paged, repository: Path
) -> None:
    task_list_id = tasks.fields["task_list_id"]
    assert [task.id for task in server.client.list_tasks(task_list_id=task_list_id, page_size=2)] == tasks.ids
    found = server.client.list_task_lists(working_dir=repository, page_size=3)
    assert [task_list.id for task_list in found] == task_lists.ids


def test_things_that_are_added_meanwhile_shift_nothing(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("Grows").id
    made = [server.client.enqueue(task_list_id, "old").id for _ in range(4)]
    seen: list[str] = []
    for page in server.api.pages(request("ListTasks", task_list_id=task_list_id, page_size=1)):
        seen += ids_of(page)
        server.client.enqueue(task_list_id, "new")
    assert seen == made[::-1]


def test_the_size_of_a_page_may_change_on_the_way(listing: tuple[ApiServer, Paged]) -> None:
    server, paged = listing
    token = server.api.call(paged.request(page_size=2)).next_page_token
    assert ids_of(server.api.call(paged.request(page_size=3, page_token=token))) == paged.ids[2:5]


def test_a_token_may_be_used_again(listing: tuple[ApiServer, Paged]) -> None:
    server, paged = listing
    token = server.api.call(paged.request(page_size=2)).next_page_token
    again = paged.request(page_size=2, page_token=token)
    assert server.api.call(again) == server.api.call(again)


MADE_UP: dict[str, Callable[[str], str]] = {
    "text": lambda _: "made-up",
    "number": lambda _: "2",
    "not ASCII": lambda _: "é" * 8,
    "space": lambda token: f" {token}",
    "line end": lambda token: f"{token}\n",
    "cut": lambda token: token[:-4],
    "cut in a byte": lambda token: token[:-1],
    "longer": lambda token: token + "AAAA",
    "twice": lambda token: token * 2,
    "other position": lambda token: base64.urlsafe_b64encode(b"\0" * 8 + base64.urlsafe_b64decode(token)[8:]).decode(),
    "no digest": lambda token: base64.urlsafe_b64encode(base64.urlsafe_b64decode(token)[:8]).decode(),
    "very long": lambda _: "A" * 1_000_000,
}


@pytest.mark.parametrize("fault", MADE_UP)
def test_a_token_that_was_made_up_is_refused(listing: tuple[ApiServer, Paged], fault: str) -> None:
    server, paged = listing
    token = server.api.call(paged.request(page_size=2)).next_page_token
    refusal = server.refuse(paged.request(page_token=MADE_UP[fault](token)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    assert refusal.metadata == {}


def test_a_token_is_good_for_its_filters_only(
    server: ApiServer, tasks: Paged, task_lists: Paged, runs: tuple[ApiServer, Paged]
) -> None:
    of_tasks = server.api.call(tasks.request(page_size=2)).next_page_token
    of_lists = server.api.call(task_lists.request(page_size=2)).next_page_token
    of_runs = runs[0].api.call(runs[1].request(page_size=2)).next_page_token
    known = tasks.fields["task_list_id"]
    for other in (
        request("ListTasks", page_token=of_tasks),
        request("ListTasks", task_list_id=NOBODY, page_token=of_tasks),
        request("ListTasks", task_list_id=known, states=[Task.STATE_QUEUED], page_token=of_tasks),
        request("ListTaskLists", page_token=of_lists),
        request("ListTaskLists", working_dir="/", page_token=of_lists),
    ):
        assert server.refuse(other).reason == "INVALID_PAGE_TOKEN"
    other_task = runs[0].resting_task(runs[0].client.create_task_list("Other").id)
    other_runs = request("ListRuns", task_id=other_task.id, page_token=of_runs)
    assert runs[0].refuse(other_runs).reason == "INVALID_PAGE_TOKEN"


def test_a_token_of_another_method_is_refused(server: ApiServer) -> None:
    # Without filters the requests differ in nothing but their type.
    server.client.create_task_list("one")
    server.client.create_task_list("two")
    of_lists = server.call("ListTaskLists", page_size=1).next_page_token
    assert server.refuse(request("ListTasks", page_token=of_lists)).reason == "INVALID_PAGE_TOKEN"
    assert server.refuse(request("ListRuns", task_id=NOBODY, page_token=of_lists)).reason == "INVALID_PAGE_TOKEN"


def test_tasks_are_found_by_their_states(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("States").id
    queued = [server.client.enqueue(task_list_id, "x").id for _ in range(5)]
    cancelled = queued[1::2]
    for task_id in cancelled:
        server.client.cancel(task_id)

    def found(*states: Task.State) -> list[str]:
        message = request("ListTasks", task_list_id=task_list_id, states=states, page_size=2)
        return [thing for page in server.api.pages(message) for thing in ids_of(page)]

    assert found() == queued[::-1]
    assert found(Task.STATE_CANCELLED) == cancelled[::-1]
    assert found(Task.STATE_QUEUED, Task.STATE_CANCELLED) == queued[::-1]
    assert found(Task.STATE_QUEUED, Task.STATE_QUEUED) == queued[::-2]
    assert found(Task.STATE_RUNNING, Task.STATE_FAILED, Task.STATE_SUCCEEDED) == []


def test_a_page_has_50_things_unless_asked_and_never_more_than_500(server: ApiServer) -> None:
    for number in range(501):
        server.client.create_task_list(f"{number}")
    for size, expected in [(0, 50), (50, 50), (500, 500), (501, 500), (2**31 - 1, 500)]:
        page = server.call("ListTaskLists", page_size=size)
        assert len(page.task_lists) == expected
        assert page.next_page_token


def test_pages_of_very_large_tasks_stay_small(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("Large").id
    largest: dict[str, Any] = {
        "subtasks": ["文" * 500] * 100,
        "overrides": taskgrove.run_config(
            system_prompt="s" * 131072, output_schema='{"a": "' + "é" * 32000 + '"}', allowed_tools=["文" * 500] * 100
        ),
    }
    made = [
        server.client.enqueue(task_list_id, "文" * 500, description="d" * 131072, **more).id
        for more in (*[dict[str, Any]()] * 20, *[largest] * 3)
    ]
    pages = list(server.api.pages(request("ListTasks", task_list_id=task_list_id, page_size=500)))
    assert [thing for page in pages for thing in ids_of(page)] == made[::-1]
    assert 3 < len(pages) < len(made)
    assert max(page.ByteSize() for page in pages) < LARGEST_PAGE


def test_pages_of_very_large_runs_stay_small(runs: tuple[ApiServer, Paged]) -> None:
    server, _ = runs
    large = taskgrove.run_config(agent="command", command="cat")
    task = server.client.enqueue(server.client.create_task_list("Large").id, "x", overrides=large)
    server.client.wait(task.id)
    for _ in range(9):
        server.client.continue_task(task.id, "p" * 131072)
        server.client.wait(task.id)
    pages = list(server.api.pages(request("ListRuns", task_id=task.id, page_size=500)))
    assert [run.number for page in pages for run in page.runs] == list(range(1, 11))
    assert len(pages) > 1
    assert max(page.ByteSize() for page in pages) < LARGEST_PAGE
