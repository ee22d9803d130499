"""The ids of calls in the store: kept for their time, with what was answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from taskgrove_server.domain import clock, errors, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.store import requests
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "taskgrove.db", lambda _: None)
    yield opened
    opened.close()


@pytest.fixture
def task_list(store: Store) -> TaskList:
    now = clock.now()
    made = TaskList(
        id=ids.new_task_list_id(), title="A", working_dir=None, defaults=RunConfig(), create_time=now, update_time=now
    )
    return store.task_lists.create(made).result()


def new_task(task_list: TaskList) -> Task:
    now = clock.now()
    return Task(
        id=ids.new_task_id(),
        task_list_id=task_list.id,
        title="Do it",
        description="",
        subtasks=(),
        overrides=RunConfig(),
        state=TaskState.QUEUED,
        create_time=now,
        update_time=now,
    )


def test_request_ids_are_kept_for_their_time(
    store: Store, task_list: TaskList, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, fresh = RequestKey("old", "Enqueue", "a"), RequestKey("fresh", "Enqueue", "a")
    now = clock.now()
    with monkeypatch.context() as earlier:
        earlier.setattr(clock, "now", lambda: now - timedelta(days=2))
        first = store.tasks.enqueue(new_task(task_list), old).result()
    store.tasks.enqueue(new_task(task_list), fresh).result()
    assert store.requests.trim(timedelta(days=3)).result() == 0
    assert store.tasks.enqueue(new_task(task_list), old).result().id == first.id
    assert store.requests.trim(timedelta(days=1)).result() == 1
    assert store.requests.recall(old) is None
    assert store.requests.recall(fresh) is not None
    assert store.tasks.enqueue(new_task(task_list), old).result().id != first.id


def test_request_ids_are_removed_in_slices(store: Store, task_list: TaskList, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "SLICE", 3)
    for number in range(7):
        store.tasks.enqueue(new_task(task_list), RequestKey(f"id-{number}", "Enqueue", "a")).result()
    assert [store.requests.trim(timedelta(seconds=-1)).result() for _ in range(4)] == [3, 3, 1, 0]


def test_what_a_call_answered_is_replaced_by_the_same_call_alone(store: Store) -> None:
    key = RequestKey("id", "PruneWorktrees", "a")
    store.requests.record(key, "", b"some").result()
    store.requests.record(key, "", b"all").result()
    store.requests.record(RequestKey("id", "Land", "b"), "t", b"other").result()
    recalled = store.requests.recall(key)
    assert recalled is not None
    assert recalled.answer == b"all"
    with pytest.raises(errors.RequestIdReused):
        store.requests.recall(RequestKey("id", "Land", "b"))
