"""Boards and tables: tasks of several lists, in summary, and always as they were last acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest

import taskgrove
from support import api_server
from support.api_calls import request
from support.api_server import NOBODY, ApiServer
from taskgrove import errors
from taskgrove.v1.failure_pb2 import FAILURE_KIND_AGENT
from taskgrove.v1.task_pb2 import TASK_VIEW_FULL, TASK_VIEW_SUMMARY, TASK_VIEW_UNSPECIFIED, Task

LONG = "long " * 2000


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with api_server.serve("--slots", "2") as running:
        yield running


@pytest.fixture(scope="module")
def busy() -> Iterator[ApiServer]:
    with api_server.serve_busy() as running:
        yield running


def listed(server: ApiServer, **fields: Any) -> list[Task]:
    return [task for page in server.api.pages(request("ListTasks", **fields)) for task in page.tasks]


def test_a_summary_has_all_but_the_long_texts(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("Board").id
    overrides = taskgrove.run_config(
        agent="command", model="m", command="echo done", system_prompt=LONG, allowed_tools=["Read"]
    )
    made = server.client.enqueue(task_list_id, "Do it", description=LONG, subtasks=["one", "two"], overrides=overrides)
    server.client.wait(made.id)
    [full] = listed(server, task_list_id=task_list_id, view=TASK_VIEW_FULL)
    assert full == server.client.get_task(made.id)
    assert (full.description, full.overrides, full.result) == (LONG, overrides, "done")
    [summary] = listed(server, task_list_id=task_list_id, view=TASK_VIEW_SUMMARY)
    assert (summary.description, summary.result) == ("", "")
    assert summary.overrides == taskgrove.run_config(agent="command", model="m")
    # Everything else is there.
    assert [part.title for part in summary.subtasks] == ["one", "two"]
    for task in (full, summary):
        for name in ("description", "overrides", "result"):
            task.ClearField(name)
    assert summary == full
    # Asked for again, from what is kept.
    assert listed(server, task_list_id=task_list_id, view=TASK_VIEW_UNSPECIFIED) == [server.client.get_task(made.id)]
    assert len(listed(server, task_list_id=task_list_id, view=TASK_VIEW_SUMMARY)[0].SerializeToString()) < 500


def test_a_summary_tells_why_a_task_failed_at_no_great_length(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("Board").id
    command = "python3 -c \"print('é' * 4000, file=__import__('sys').stderr)\"; exit 3"
    made = server.client.enqueue(
        task_list_id, "Fails", overrides=taskgrove.run_config(agent="command", command=command)
    )
    failure = server.client.wait(made.id).failure
    [summary] = listed(server, task_list_id=task_list_id, view=TASK_VIEW_SUMMARY)
    assert (summary.failure.kind, summary.failure.retryable) == (FAILURE_KIND_AGENT, failure.retryable)
    assert summary.failure.message
    assert failure.message.startswith(summary.failure.message)
    assert len(summary.failure.message.encode()) <= 512


def test_the_lists_that_are_asked_for_are_listed_together(busy: ApiServer) -> None:
    first, second, third = (busy.client.create_task_list(title).id for title in "123")
    made = [busy.client.enqueue((first, second, third)[number % 3], "T").id for number in range(9)]
    for task_id in made[3:6]:
        busy.client.cancel(task_id)

    def found(**fields: Any) -> list[str]:
        return [task.id for task in listed(busy, page_size=2, **fields)]

    of_two = [task_id for number, task_id in enumerate(made) if number % 3 != 1][::-1]
    assert found(task_list_ids=[first, third]) == of_two
    assert found(task_list_id=first, task_list_ids=[third]) == of_two
    assert found(task_list_id=first, task_list_ids=[third, third, first, NOBODY]) == of_two
    assert found(task_list_ids=[first]) == found(task_list_id=first) == made[::3][::-1]
    assert found(task_list_ids=[NOBODY]) == []
    assert found(task_list_ids=[first, third], order="ORDER_OLDEST_FIRST") == of_two[::-1]
    cancelled = [task_id for task_id in of_two if task_id in made[3:6]]
    assert found(task_list_ids=[third, first], states=[Task.STATE_CANCELLED]) == cancelled
    assert found(task_list_ids=[third, first], states=[Task.STATE_CANCELLED, Task.STATE_QUEUED]) == of_two
    changed = found(task_list_ids=[first, third], order="ORDER_LAST_CHANGED_FIRST")
    assert changed == cancelled + [task_id for task_id in of_two if task_id not in cancelled]
    # The library asks for the same, of as many lists as there may be.
    hundred = [first, *[NOBODY] * 98, third]
    assert [task.id for task in busy.client.list_tasks(task_list_ids=hundred, page_size=2)] == of_two


def test_a_token_is_good_for_its_lists_and_its_view_only(busy: ApiServer) -> None:
    first, second = (busy.client.create_task_list(title).id for title in "12")
    for task_list_id in (first, second) * 2:
        busy.client.enqueue(task_list_id, "T")
    fields: dict[str, Any] = {"task_list_ids": [first, second], "view": TASK_VIEW_SUMMARY, "page_size": 2}
    token = busy.call("ListTasks", **fields).next_page_token
    assert len(busy.call("ListTasks", **fields, page_token=token).tasks) == 2
    for other in ({"task_list_ids": [first]}, {"view": TASK_VIEW_FULL}, {"task_list_id": first}):
        refusal = busy.refuse(request("ListTasks", **{**fields, **other}, page_token=token))
        assert refusal.reason == "INVALID_PAGE_TOKEN"


def test_long_tasks_leave_room_for_more_in_a_summary(busy: ApiServer) -> None:
    task_list_id = busy.client.create_task_list("Long").id
    made = [busy.client.enqueue(task_list_id, "T", description="d" * 131072).id for _ in range(20)]
    full = busy.call("ListTasks", task_list_id=task_list_id)
    assert 1 <= len(full.tasks) < 20
    assert full.ByteSize() <= 1 << 20
    assert [task.id for task in listed(busy, task_list_id=task_list_id)] == made[::-1]
    summary = busy.call("ListTasks", task_list_id=task_list_id, view=TASK_VIEW_SUMMARY)
    assert [task.id for task in summary.tasks] == made[::-1]


def test_every_answer_is_what_is_shown_from_then_on(busy: ApiServer) -> None:
    client, task_list_id = busy.client, busy.client.create_task_list("Changes").id
    task = client.enqueue(task_list_id, "0", subtasks=["part"])

    def shown() -> list[Task]:
        [full] = listed(busy, task_list_id=task_list_id)
        [summary] = listed(busy, task_list_id=task_list_id, view=TASK_VIEW_SUMMARY)
        assert (summary.etag, summary.state, summary.subtasks) == (full.etag, full.state, full.subtasks)
        return [client.get_task(task.id), full]

    changes: list[Callable[[], Task]] = [
        lambda: task,
        lambda: client.update_task(task.id, title="1"),
        lambda: client.update_subtask(task.id, 1, completed=True),
        lambda: client.cancel(task.id).task,
        lambda: client.retry_task(task.id),
        lambda: client.cancel(task.id).task,
    ]
    # Twice each time: read from the store, and kept since.
    for change in changes:
        answer = change()
        assert shown() + shown() == [answer] * 4
    client.delete_task(task.id)
    assert listed(busy, task_list_id=task_list_id) == []
    with pytest.raises(errors.TaskNotFound):
        client.get_task(task.id)


def test_a_task_is_shown_as_far_as_it_was_watched(server: ApiServer) -> None:
    task_list_id = server.client.create_task_list("Watched", defaults=api_server.AT_ONCE).id
    for _ in range(5):
        task = server.client.enqueue(task_list_id, "Runs")
        with server.client.watch(task.id) as watch:
            for event in watch:
                if (told := getattr(event, "task", None)) is not None:
                    found = server.client.get_task(task.id)
                    assert found.update_time.ToNanoseconds() >= told.update_time.ToNanoseconds()
        assert server.client.get_task(task.id).state == Task.STATE_SUCCEEDED


def test_many_who_look_at_a_task_never_see_less_than_was_acknowledged(busy: ApiServer) -> None:
    task_list_id = busy.client.create_task_list("Ticks").id
    task_id = busy.client.enqueue(task_list_id, "0").id
    acknowledged = 0
    ended = threading.Event()

    def look(*, by_listing: bool) -> int:
        seen = looks = 0
        while not ended.is_set():
            least = max(seen, acknowledged)
            found = listed(busy, task_list_id=task_list_id)[0] if by_listing else busy.client.get_task(task_id)
            seen = int(found.title)
            assert seen >= least
            looks += 1
        return looks

    with futures.ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(look, by_listing=number % 2 == 0) for number in range(4)]
        try:
            for number in range(1, 101):
                busy.client.update_task(task_id, title=f"{number}")
                acknowledged = number
        finally:
            ended.set()
        assert all(one.result() for one in looking)
