"""Calls of EventService."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from taskgrove import feed
from taskgrove.aio.connected import Connected
from taskgrove.aio.watch import AsyncEventWatch
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2_grpc import EventServiceStub

if TYPE_CHECKING:
    # The stub that an asyncio channel makes has a type of its own, which only type checkers know.
    from taskgrove.v1.event_service_pb2_grpc import EventServiceAsyncStub


class EventCalls(Connected):
    """What a client can do with the feed of events."""

    @functools.cached_property
    def _events(self) -> EventServiceAsyncStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return EventServiceStub(self._channel)

    def watch_events(
        self,
        *,
        after_sequence: int | None = None,
        task_list_ids: Sequence[str] = (),
        kinds: Sequence[Event.Kind] = (),
        reconnect_timeout: float | None = 60.0,
    ) -> AsyncEventWatch:
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
        return AsyncEventWatch(self.target, functools.partial(self._open, self._events.WatchEvents), resume)

    async def read_events(
        self, *, after_sequence: int = 0, task_list_ids: Sequence[str] = (), kinds: Sequence[Event.Kind] = ()
    ) -> AsyncIterator[Event]:
        """Yields the events that are kept, and ends; see `watch_events`."""
        resume = feed.Feed(
            after_sequence=after_sequence,
            task_list_ids=task_list_ids,
            kinds=kinds,
            follows=False,
            reconnect_timeout=60.0,
        )
        async for event in AsyncEventWatch(
            self.target, functools.partial(self._open, self._events.WatchEvents), resume
        ):
            yield event
