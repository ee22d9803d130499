"""The feed of events: what it tells, where it goes on, and what it keeps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import taskgrove
from support import repositories, tasks_feed, tasks_gates, tasks_work
from support.api_calls import Api
from support.server import RunningServer
from support.tasks_feed import Collector
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from taskgrove.v1.task_pb2 import Task

ONE_RUN = ["TASK_QUEUED", "TASK_STARTED", "RUN_CREATED", "TASK_UPDATED", "TASK_FINISHED"]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer("--retry-pause", "0.1") as running:
        yield running


def test_the_life_of_a_task_is_told_in_order(client: taskgrove.Client, tmp_path: Path) -> None:
    task_list = tasks_work.make_list(client, "echo x > new", repositories.make_repository(tmp_path / "repository"))
    with Collector(client) as feed:
        task = client.enqueue(task_list.id, "Do it", subtasks=["part"])
        events = feed.wait_for("TASK_FINISHED", task.id)
        rested = client.get_task(task.id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert tasks_feed.kinds(events) == [
            "TASK_QUEUED",
            "TASK_STARTED",
            "WORKTREE_UPDATED",
            "RUN_CREATED",
            "TASK_UPDATED",
            "WORKTREE_UPDATED",
            "TASK_FINISHED",
        ]
        assert {(event.task_id, event.task_list_id, event.task_title) for event in events} == {
            (task.id, task_list.id, "Do it")
        }
        queued, started, made, created, _, committed, finished = events
        assert (queued.task_state, queued.slot) == (Task.STATE_QUEUED, 0)
        assert (started.task_state, started.slot) == (Task.STATE_RUNNING, 1)
        assert (created.run_number, created.is_retry, created.slot) == (1, False, 1)
        assert (made.worktree.path, made.worktree.head_commit) == (rested.worktree.path, "")
        assert committed.worktree == rested.worktree
        assert (finished.task_state, finished.failure_kind) == (Task.STATE_SUCCEEDED, 0)
        client.update_subtask(task.id, 1, completed=True)
        client.continue_task(task.id, "Again")
        feed.wait_for("TASK_FINISHED", task.id, 2)
        assert feed.of(task.id)[7:] == [
            "TASK_UPDATED",
            "TASK_QUEUED",
            "TASK_STARTED",
            "RUN_CREATED",
            "TASK_UPDATED",
            "WORKTREE_UPDATED",
            "TASK_FINISHED",
        ]


def test_retries_failures_and_cancels_are_told(client: taskgrove.Client, tmp_path: Path) -> None:
    failed = tasks_work.run(client, "exit 75")
    created = client.read_events(kinds=[Event.KIND_RUN_CREATED])
    assert [(event.run_number, event.is_retry) for event in created] == [(1, False), (2, True)]
    (finished,) = client.read_events(kinds=[Event.KIND_TASK_FINISHED], task_list_ids=[failed.task_list_id])
    assert finished.failure_kind == taskgrove.FailureKind.FAILURE_KIND_OVERLOADED
    with tasks_gates.Gate(tmp_path / "gate") as gate:
        task = client.enqueue(tasks_work.make_list(client, gate.pass_through).id, "Stop me")
        gate.wait_for_arrivals()
        client.cancel(task.id)
        assert tasks_work.rest(client, task.id).state == Task.STATE_CANCELLED
    told = list(client.read_events(task_list_ids=[task.task_list_id]))
    assert tasks_feed.kinds(told) == [*ONE_RUN[:3], "TASK_UPDATED", "TASK_UPDATED", "TASK_FINISHED"]
    assert told[-1].task_state == Task.STATE_CANCELLED
    assert list(client.read_events(task_list_ids=["a" * 12])) == []


def test_a_feed_goes_on_where_a_killed_server_left_it(server: RunningServer, client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "true")
    with Collector(client, after_sequence=0) as feed:
        first = client.enqueue(task_list.id, "First")
        feed.wait_for("TASK_FINISHED", first.id)
        server.kill()
        server.start()
        second = client.enqueue(task_list.id, "Second")
        events = feed.wait_for("TASK_FINISHED", second.id)
        assert feed.of(first.id) == feed.of(second.id) == ONE_RUN
        assert [event.sequence for event in events] == list(range(1, 11))
    assert list(client.read_events()) == events
    # Whoever was away for a night catches up.
    assert list(client.read_events(after_sequence=3)) == events[3:]
    assert list(client.read_events(after_sequence=10)) == []


def test_many_watchers_see_the_same_whatever_happens_at_once(client: taskgrove.Client) -> None:
    task_list = tasks_work.make_list(client, "true")
    with Collector(client) as first, Collector(client) as second, Collector(client, after_sequence=0) as third:
        tasks = [client.enqueue(task_list.id, f"{number}") for number in range(8)]
        for task in tasks:
            for feed in (first, second, third):
                feed.wait_for("TASK_FINISHED", task.id)
        assert first.events == second.events == third.events
        assert [event.sequence for event in first.events] == list(range(1, 5 * 8 + 1))
        for task in tasks:
            assert first.of(task.id) == ONE_RUN


def test_a_position_that_cannot_be_is_told(client: taskgrove.Client) -> None:
    tasks_work.run(client, "true")
    with pytest.raises(taskgrove.SequenceOutOfRange) as caught:
        list(client.read_events(after_sequence=6))
    assert caught.value.metadata == {"after_sequence": "6", "last_sequence": "5"}
    assert caught.value.code == grpc.StatusCode.OUT_OF_RANGE


def test_what_is_no_longer_kept_is_told(server: RunningServer, client: taskgrove.Client) -> None:
    for _ in range(3):
        tasks_work.run(client, "true")
    server.terminate()
    server.start("--max-events", "4")
    tasks_gates.until(lambda: len(list(client.read_events())) == 4, "the trimming of events")
    assert [event.sequence for event in client.read_events()] == [12, 13, 14, 15]
    assert [event.sequence for event in client.read_events(after_sequence=11)] == [12, 13, 14, 15]
    for position in (1, 10):
        with pytest.raises(taskgrove.EventsTrimmed) as caught:
            list(client.read_events(after_sequence=position))
        assert caught.value.metadata == {
            "after_sequence": f"{position}",
            "first_sequence": "12",
            "last_sequence": "15",
        }
    server.terminate()
    server.start("--event-retention", "0.001")
    # The newest stays, so that its number is not given again.
    tasks_gates.until(lambda: len(list(client.read_events())) == 1, "the trimming of events")
    tasks_work.run(client, "true")
    assert [event.sequence for event in client.read_events()][:2] == [15, 16]


def stream(api: Api, **fields: Any) -> Iterator[WatchEventsResponse]:
    """Yields the messages of a feed with a heartbeat a second."""
    request = WatchEventsRequest(heartbeat_interval={"seconds": 1}, **fields)
    path = "/taskgrove.v1.EventService/WatchEvents"
    call = api.channel.unary_stream(path, WatchEventsRequest.SerializeToString, WatchEventsResponse.FromString)(
        request, timeout=tasks_gates.PATIENCE
    )
    try:
        yield from call
    finally:
        call.cancel()


def test_heartbeats_pass_over_what_was_not_asked_for(server: RunningServer, client: taskgrove.Client) -> None:
    with Api(server.target) as api:
        watched = stream(api, kinds=[Event.KIND_TASK_DELETED])
        opened, caught_up = itertools.islice(watched, 2)
        assert opened == WatchEventsResponse(opened={"first_sequence": 1, "last_sequence": 0})
        assert caught_up.heartbeat.last_sequence == 0
        tasks_work.run(client, "true")
        for message in watched:
            assert message.WhichOneof("message") == "heartbeat"
            if message.heartbeat.last_sequence == 5:
                break
        watched.close()  # type: ignore[attr-defined]
        # Unset means from now on.
        opened, caught_up = itertools.islice(stream(api), 2)
        assert (opened.opened.last_sequence, caught_up.heartbeat.last_sequence) == (5, 5)


def test_a_feed_takes_a_place_of_the_watchers() -> None:
    with (
        RunningServer("--max-watchers", "1") as running,
        running.client() as client,
        Collector(client),
        pytest.raises(taskgrove.TooManyWatchers),
    ):
        list(client.read_events())
