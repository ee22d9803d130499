"""Calls of EventService."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from taskgrove import feed
from taskgrove.blocking.connected import Connected
from taskgrove.blocking.watch import EventWatch
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2_grpc import EventServiceStub


class EventCalls(Connected):
    """What a client can do with the feed of events."""

    @functools.cached_property
    def _events(self) -> EventServiceStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return EventServiceStub(self._channel)

    def watch_events(
        self,
        *,
        after_sequence: int | None = None,
        task_list_ids: Sequence[str] = (),
        kinds: Sequence[Event.Kind] = (),
        reconnect_timeout: float | None = 60.0,
    ) -> EventWatch:
        """Follows what happens to tasks: every event after `after_sequence`, once and in order, without end.

        0 means from the oldest event that is kept, None from now on. Empty filters keep everything. Goes on by
        itself where a lost connection left off; raises ServerUnavailable when that has failed for
        `reconnect_timeout` seconds, None meaning to try for ever. Raises EventsTrimmed when events behind the
        position are no longer kept.
        """
        resume = feed.Feed(
            after_sequence=after_sequence,
            task_list_ids=task_list_ids,
            kinds=kinds,
            reconnect_timeout=reconnect_timeout,
        )
        return EventWatch(self.target, functools.partial(self._open, self._events.WatchEvents), resume)

    def read_events(
        self, *, after_sequence: int = 0, task_list_ids: Sequence[str] = (), kinds: Sequence[Event.Kind] = ()
    ) -> Iterator[Event]:
        """Yields the events that are kept, and ends; see `watch_events`."""
        resume = feed.Feed(
            after_sequence=after_sequence,
            task_list_ids=task_list_ids,
            kinds=kinds,
            follows=False,
            reconnect_timeout=60.0,
        )
        yield from EventWatch(self.target, functools.partial(self._open, self._events.WatchEvents), resume)
