"""EventService: see event_service.proto for what it promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from taskgrove.v1 import event_pb2, event_service_pb2_grpc
from taskgrove.v1 import event_service_pb2 as messages
from taskgrove_server.api import conversions
from taskgrove_server.api.front import Reads
from taskgrove_server.api.limits import StreamLimit
from taskgrove_server.api.validation import events as valid
from taskgrove_server.api.watching import heartbeat_of
from taskgrove_server.domain import errors
from taskgrove_server.domain.event import EventFilter, EventKind
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.journal.wakeups import EVERY_TASK, Wakeups
from taskgrove_server.store.store import Store

_Response = messages.WatchEventsResponse

_KINDS = {event_pb2.Event.Kind.Value(f"KIND_{kind.name}"): kind for kind in EventKind}


class EventServicer(event_service_pb2_grpc.EventServiceServicer):
    """Reads the feed by position, so that a slow watcher loses nothing."""

    def __init__(self, store: Store, reads: Reads, wakeups: Wakeups, limit: StreamLimit) -> None:
        self._store = store
        self._reads = reads
        self._wakeups = wakeups
        self._limit = limit

    async def WatchEvents(self, request: messages.WatchEventsRequest, context: Any) -> AsyncIterator[_Response]:
        """Streams events: those that are kept first, then each as it happens."""
        valid.watch(request)
        wanted = EventFilter(
            frozenset(TaskListId(task_list_id) for task_list_id in request.task_list_ids),
            frozenset(_KINDS[kind] for kind in request.kinds),
        )
        heartbeat = heartbeat_of(request)
        clock = asyncio.get_running_loop().time
        with self._limit.place(), self._wakeups.subscribe(EVERY_TASK) as subscription:
            bounds = await self._reads.shared(subscription.shared, self._store.events.bounds)
            position = request.after_sequence if request.HasField("after_sequence") else bounds.last
            if position > bounds.last:
                raise errors.SequenceOutOfRange(position, bounds.last)
            if position == 0:
                position = bounds.first - 1
            if position + 1 < bounds.first:
                raise errors.EventsTrimmed(position, bounds.first, bounds.last)
            yield _Response(opened=_Response.Opened(first_sequence=bounds.first, last_sequence=bounds.last))
            told: float | None = None
            while True:
                subscription.task_changed = False
                page = await self._reads.shared(subscription.shared, self._store.events.page, position, wanted)
                position = page.through
                if page.events:
                    yield _Response(events=_Response.Events(events=map(conversions.from_event, page.events)))
                if subscription.draining:
                    raise errors.ServerDraining
                if page.full:
                    continue
                if page.events and told is not None:
                    told = clock()
                if told is None or clock() - told >= heartbeat:
                    # After what is kept, and while others keep the feed busy with what this watcher has not asked for.
                    yield _Response(heartbeat=_Response.Heartbeat(last_sequence=position))
                    told = clock()
                if not subscription.task_changed:
                    await subscription.wait(told + heartbeat - clock())
