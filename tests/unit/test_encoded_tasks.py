"""Encoded tasks that are kept, step by step: what a reader may keep and is given, whenever a commit is made."""

from __future__ import annotations

import contextlib

import pytest

from taskgrove.v1.task_service_pb2 import EnqueueResponse, GetTaskResponse, ListTasksResponse
from taskgrove_server.api.encoded_tasks import EncodedTasks, View
from taskgrove_server.domain.ids import TaskId

ONE, OTHER = TaskId("one"), TaskId("other")


def keep(tasks: EncodedTasks, task_id: TaskId, encoded: bytes, view: View = View.FULL) -> None:
    with tasks.reading() as reading:
        reading.keep(task_id, view, encoded)


def commit(tasks: EncodedTasks, *task_ids: TaskId) -> None:
    tasks.changing(frozenset(task_ids))
    tasks.changed(frozenset(task_ids))


def test_a_task_is_kept_in_the_view_in_which_it_was_read() -> None:
    tasks = EncodedTasks()
    assert tasks.get(ONE, View.FULL) is None
    keep(tasks, ONE, b"full")
    keep(tasks, ONE, b"short", View.SUMMARY)
    assert (tasks.get(ONE, View.FULL), tasks.get(ONE, View.SUMMARY)) == (b"full", b"short")
    assert tasks.get(OTHER, View.FULL) is None


def test_a_commit_drops_what_it_changes_in_every_view_and_nothing_else() -> None:
    tasks = EncodedTasks()
    for view in View:
        keep(tasks, ONE, b"old", view)
        keep(tasks, OTHER, b"other", view)
    commit(tasks, ONE)
    assert [tasks.get(ONE, view) for view in View] == [None, None]
    assert [tasks.get(OTHER, view) for view in View] == [b"other", b"other"]


@pytest.mark.parametrize("begins", ["before", "meanwhile"])
@pytest.mark.parametrize("ends", ["meanwhile", "after"])
def test_who_may_have_read_before_a_commit_keeps_nothing_of_what_it_changes(begins: str, ends: str) -> None:
    tasks = EncodedTasks()
    with contextlib.ExitStack() as stack:
        if begins == "before":
            reading = stack.enter_context(tasks.reading())
            tasks.changing(frozenset({ONE}))
        else:
            tasks.changing(frozenset({ONE}))
            reading = stack.enter_context(tasks.reading())
        if ends == "after":
            tasks.changed(frozenset({ONE}))
        reading.keep(ONE, View.FULL, b"old")
        reading.keep(OTHER, View.FULL, b"other")
    tasks.changed(frozenset({ONE}))
    assert (tasks.get(ONE, View.FULL), tasks.get(OTHER, View.FULL)) == (None, b"other")


def test_who_begins_to_read_after_a_commit_keeps_what_it_finds() -> None:
    tasks = EncodedTasks()
    commit(tasks, ONE)
    keep(tasks, ONE, b"new")
    assert tasks.get(ONE, View.FULL) == b"new"


def test_what_is_kept_since_is_not_given_to_who_has_read_before() -> None:
    tasks = EncodedTasks()
    with tasks.reading() as reading:
        keep(tasks, OTHER, b"other")
        commit(tasks, ONE)
        keep(tasks, ONE, b"new")
        # To the reader it would look as if the store were of two moments.
        assert reading.kept([ONE, OTHER], View.FULL) == {OTHER: b"other"}
    assert tasks.get(ONE, View.FULL) == b"new"


def test_a_commit_that_failed_is_forgotten_with_the_next() -> None:
    tasks = EncodedTasks()
    tasks.changing(frozenset({ONE}))
    keep(tasks, ONE, b"unknown")
    assert tasks.get(ONE, View.FULL) is None
    commit(tasks, OTHER)
    keep(tasks, ONE, b"known")
    assert tasks.get(ONE, View.FULL) == b"known"


def test_readers_that_have_ended_are_forgotten() -> None:
    tasks = EncodedTasks()
    with pytest.raises(ZeroDivisionError), tasks.reading():
        raise ZeroDivisionError
    keep(tasks, ONE, b"one")
    assert tasks._readings == set()


def test_bytes_are_bounded_and_those_go_first_that_nobody_asks_for() -> None:
    tasks = EncodedTasks(most=10_000)
    keep(tasks, ONE, b"x" * 1000)
    for number in range(100):
        keep(tasks, TaskId(f"{number}"), b"y" * 1000)
        assert tasks.get(ONE, View.FULL) is not None
        assert tasks._size <= 10_000
    kept = [number for number in range(100) if tasks.get(TaskId(f"{number}"), View.FULL)]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) >= 5
    # The same again takes no more room, and what takes more than there is is not kept.
    keep(tasks, ONE, b"z" * 1000)
    assert tasks.get(ONE, View.FULL) == b"z" * 1000
    keep(tasks, OTHER, b"x" * 10_001)
    assert tasks.get(OTHER, View.FULL) is None
    assert tasks._size == 0


def test_what_is_kept_can_be_part_of_every_response_with_tasks() -> None:
    kept = GetTaskResponse.DESCRIPTOR.fields_by_name["task"]
    for response, name in ((EnqueueResponse, "task"), (ListTasksResponse, "tasks")):
        field = response.DESCRIPTOR.fields_by_name[name]
        assert (field.number, field.message_type) == (kept.number, kept.message_type)
