"""What people do to tasks besides running them: edit, tick, list in some order, read a part of the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import taskgrove
from support import tasks_gates, tasks_work
from support.server import RunningServer
from taskgrove.v1.task_pb2 import Task


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer("--slots", "1") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[taskgrove.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def busy(client: taskgrove.Client, tmp_path: Path) -> Iterator[tasks_gates.Gate]:
    """Holds the only slot, so that other tasks wait."""
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        task = client.enqueue(tasks_work.make_list(client, f"echo here; {gate.pass_through}").id, "Busy")
        gate.wait_for_arrivals()
        yield gate
        gate.open()
        tasks_work.rest(client, task.id)


def test_a_queued_task_is_told_what_it_was_changed_to(client: taskgrove.Client, busy: tasks_gates.Gate) -> None:
    task_list = tasks_work.make_list(client, "cat")
    task = client.enqueue(task_list.id, "Old", description="Old words", subtasks=["one"])
    edited = client.update_task(
        task.id,
        title="New",
        description="New words",
        subtasks=["two", taskgrove.Subtask(title="three", completed=True)],
        etag=task.etag,
    )
    assert (edited.title, edited.description) == ("New", "New words")
    assert edited.etag not in ("", task.etag)
    emptied = client.update_task(task.id, description="")
    assert (emptied.title, emptied.description) == ("New", "")
    with pytest.raises(taskgrove.EtagMismatch) as caught:
        client.update_task(task.id, title="Newest", etag=task.etag)
    assert caught.value.metadata["etag"] == emptied.etag == client.get_task(task.id).etag
    busy.open()
    rested = tasks_work.rest(client, task.id)
    assert rested.state == Task.STATE_SUCCEEDED
    (run,) = client.list_runs(task.id)
    assert run.prompt == "New\n\n## Sub-Tasks\n- [ ] two\n- [x] three\n"
    with pytest.raises(taskgrove.TaskNotQueued) as late:
        client.update_task(task.id, title="Late")
    assert late.value.metadata["state"] == "succeeded"
    assert client.get_task(task.id) == rested


@pytest.mark.usefixtures("busy")
def test_a_task_that_holds_a_slot_is_not_edited(client: taskgrove.Client) -> None:
    (running,) = client.list_tasks(states=[Task.STATE_RUNNING])
    with pytest.raises(taskgrove.TaskNotQueued):
        client.update_task(running.id, title="Late")
    assert client.get_task(running.id) == running


@pytest.mark.usefixtures("busy")
def test_new_overrides_hold_to_the_rules_of_enqueue(client: taskgrove.Client) -> None:
    task = client.enqueue(client.create_task_list("Bare").id, "A task")
    with pytest.raises(taskgrove.InvalidRequest) as caught:
        client.update_task(task.id, overrides=taskgrove.run_config(agent="command"))
    assert caught.value.metadata["field"] == "overrides.command"
    changed = client.update_task(task.id, overrides=tasks_work.shell("true"))
    assert changed.overrides == tasks_work.shell("true")


def test_subtasks_are_ticked_in_any_state(client: taskgrove.Client) -> None:
    task = client.enqueue(tasks_work.make_list(client, "true").id, "Parts", subtasks=["one", "two"])
    rested = tasks_work.rest(client, task.id)
    ticked = client.update_subtask(task.id, 2, completed=True, etag=rested.etag)
    assert [part.completed for part in ticked.subtasks] == [False, True]
    assert [part.completed for part in client.update_subtask(task.id, 2, completed=False).subtasks] == [False, False]
    with pytest.raises(taskgrove.EtagMismatch):
        client.update_subtask(task.id, 1, completed=True, etag=rested.etag)
    with pytest.raises(taskgrove.SubtaskNotFound) as caught:
        client.update_subtask(task.id, 3, completed=True)
    assert caught.value.metadata == {"task_id": task.id, "number": "3"}


def test_a_list_is_not_changed_over_the_head_of_somebody_else(client: taskgrove.Client) -> None:
    task_list = client.create_task_list("A list")
    changed = client.update_task_list(task_list.id, title="Theirs", etag=task_list.etag)
    with pytest.raises(taskgrove.EtagMismatch):
        client.update_task_list(task_list.id, title="Mine", etag=task_list.etag)
    assert client.get_task_list(task_list.id) == changed


def test_listings_have_filters_and_orders_and_pages(client: taskgrove.Client) -> None:
    good, bad = tasks_work.make_list(client, "true"), tasks_work.make_list(client, "false")
    before = datetime.now(UTC)
    titles = ["One 100% sure", "two_b", "THREE", "four"]
    tasks = [client.enqueue(good.id, title) for title in titles]
    failed = client.enqueue(bad.id, "two_c")
    for task in (*tasks, failed):
        tasks_work.rest(client, task.id)
    after = datetime.now(UTC)

    def listed(**wanted: Any) -> list[str]:
        pages = client.list_tasks(created_after=before, page_size=2, **wanted)
        return [task.title for task in pages]

    assert listed() == ["two_c", *reversed(titles)]
    assert listed(order=taskgrove.TaskOrder.ORDER_OLDEST_FIRST) == [*titles, "two_c"]
    assert listed(created_before=before + timedelta(microseconds=1)) == []
    assert len(listed(created_before=after)) == 5
    assert listed(title_contains="three") == ["THREE"]
    assert listed(title_contains="0%") == ["One 100% sure"]
    assert listed(title_contains="o_") == ["two_c", "two_b"]
    assert listed(task_list_id=bad.id) == ["two_c"]
    assert listed(failure_kinds=[taskgrove.FailureKind.FAILURE_KIND_AGENT]) == ["two_c"]
    assert listed(failure_kinds=[taskgrove.FailureKind.FAILURE_KIND_AUTH]) == []
    assert listed(failure_kinds=[taskgrove.FailureKind.FAILURE_KIND_AGENT], states=[Task.STATE_SUCCEEDED]) == []
    both = [Task.STATE_SUCCEEDED, Task.STATE_FAILED]
    assert listed(states=both, order=taskgrove.TaskOrder.ORDER_OLDEST_FIRST) == [*titles, "two_c"]
    for task in (failed, tasks[2], tasks[0]):
        client.continue_task(task.id, "Again")
        tasks_work.rest(client, task.id)
    changed = ["One 100% sure", "THREE", "two_c", "four", "two_b"]
    assert listed(order=taskgrove.TaskOrder.ORDER_LAST_CHANGED_FIRST) == changed
    assert listed(order=taskgrove.TaskOrder.ORDER_LAST_CHANGED_FIRST, states=both) == changed
    with pytest.raises(ValueError, match="time zone"):
        listed(created_before=datetime(2020, 1, 1))  # noqa: DTZ001 - what is refused


def test_a_part_of_a_log_is_read_without_watching(client: taskgrove.Client) -> None:
    command = "seq 1 5; printf 'a%.0s' $(seq 3000000); echo; seq 7 9"
    task = tasks_work.run(client, command)
    client.continue_task(task.id, "Again")
    rested = tasks_work.rest(client, task.id)
    watched = list(client.lines(task.id))
    assert rested.last_line == len(watched) == 20
    assert list(client.read_lines(task.id)) == watched
    assert list(client.read_lines(task.id, last_lines=12)) == watched[-12:]
    assert list(client.read_lines(task.id, last_lines=500)) == watched
    assert list(client.read_lines(task.id, last_lines=16, max_lines=3)) == watched[4:7]
    assert list(client.read_lines(task.id, after_line=2, max_lines=9)) == watched[2:11]
    assert list(client.read_lines(task.id, after_line=5, max_lines=1)) == watched[5:6]
    assert list(client.read_lines(task.id, after_line=20)) == []
    with pytest.raises(taskgrove.LineOutOfRange):
        list(client.read_lines(task.id, after_line=21))


@pytest.mark.usefixtures("busy")
def test_the_log_of_a_run_that_goes_on_is_read_as_far_as_it_is(client: taskgrove.Client) -> None:
    (running,) = client.list_tasks(states=[Task.STATE_RUNNING])
    lines = tasks_gates.until(lambda: list(client.read_lines(running.id)), "a line of the task")
    assert list(client.read_lines(running.id, last_lines=1)) == lines
