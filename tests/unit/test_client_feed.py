"""What a feed must do, without a server."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from taskgrove import errors
from taskgrove.feed import Feed
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsResponse


def opened(first: int, last: int) -> WatchEventsResponse:
    return WatchEventsResponse(opened=WatchEventsResponse.Opened(first_sequence=first, last_sequence=last))


def events(*sequences: int) -> WatchEventsResponse:
    return WatchEventsResponse(
        events=WatchEventsResponse.Events(events=[Event(sequence=sequence) for sequence in sequences])
    )


def heartbeat(last: int) -> WatchEventsResponse:
    return WatchEventsResponse(heartbeat=WatchEventsResponse.Heartbeat(last_sequence=last))


def shown(feed: Feed, *messages: WatchEventsResponse) -> list[int]:
    return [event.sequence for message in messages for event in feed.receive(message)]


def test_a_feed_from_now_on_begins_behind_the_newest_and_goes_on_there() -> None:
    feed = Feed()
    assert not feed.request().HasField("after_sequence")
    assert shown(feed, opened(3, 7)) == []
    assert feed.request().after_sequence == 7
    assert shown(feed, opened(3, 8), events(8), events(9, 10)) == [8, 9, 10]
    assert feed.request().after_sequence == feed.last_sequence == 10


def test_a_feed_from_the_oldest_begins_where_events_are_kept() -> None:
    feed = Feed(after_sequence=0)
    assert feed.request().HasField("after_sequence")
    assert shown(feed, opened(5, 6), events(5, 6)) == [5, 6]


def test_heartbeats_move_a_filtered_feed_on() -> None:
    feed = Feed(after_sequence=4, kinds=[Event.KIND_TASK_FINISHED])
    assert list(feed.request().kinds) == [Event.KIND_TASK_FINISHED]
    assert shown(feed, opened(1, 90), events(8, 30), heartbeat(90)) == [8, 30]
    assert feed.request().after_sequence == 90


@pytest.mark.parametrize(
    ("filters", "messages"),
    [
        ({}, [events(6)]),
        ({}, [opened(1, 9), opened(1, 9)]),
        ({}, [opened(1, 9), events(7)]),
        ({}, [opened(1, 9), events(6, 6)]),
        ({}, [opened(1, 9), events(6, 8)]),
        ({"task_list_ids": ["l"]}, [opened(1, 9), events(8, 7)]),
        ({"task_list_ids": ["l"]}, [opened(1, 9), events(5)]),
    ],
    ids=repr,
)
def test_a_server_that_breaks_the_contract_is_found_out(
    filters: dict[str, Any], messages: list[WatchEventsResponse]
) -> None:
    feed = Feed(after_sequence=5, **filters)
    feed.request()
    with pytest.raises(errors.ProtocolError):
        shown(feed, *messages)


def test_a_feed_that_does_not_follow_ends_behind_what_is_kept() -> None:
    feed = Feed(after_sequence=0, follows=False)
    feed.request()
    assert shown(feed, opened(1, 2), events(1, 2)) == [1, 2]
    assert not feed.finished
    assert shown(feed, heartbeat(2)) == []
    assert feed.finished


def test_a_lost_feed_waits_and_gives_up_in_the_end() -> None:
    feed = Feed(after_sequence=7, reconnect_timeout=10.0, jitter=lambda: 0.0)
    lost = errors.ServerUnavailable("Gone.", code=grpc.StatusCode.UNAVAILABLE)
    assert [feed.lost(lost, now) for now in (0.0, 1.0, 2.0)] == [0.1, 0.2, 0.4]
    with pytest.raises(errors.ServerUnavailable, match="after sequence 7"):
        feed.lost(lost, 10.0)
    trimmed = errors.EventsTrimmed("Trimmed.", reason="EVENTS_TRIMMED", code=grpc.StatusCode.OUT_OF_RANGE)
    with pytest.raises(errors.EventsTrimmed):
        feed.lost(trimmed, 0.0)
