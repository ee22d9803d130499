"""What the feed of events shows, and how it goes on where a lost stream ended; without I/O, for both clients."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from taskgrove import errors, requests, resuming
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse


class Feed:
    """Follows the events across streams: checks that none is missing, and knows where to go on.

    `after_sequence` None means from now on. One that does not follow ends behind the events that are kept.
    `reconnect_timeout` and `jitter` are those of a Backoff.
    """

    def __init__(
        self,
        *,
        after_sequence: int | None = None,
        task_list_ids: Sequence[str] = (),
        kinds: Sequence[Event.Kind] = (),
        follows: bool = True,
        reconnect_timeout: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        #: The sequence up to which everything was shown; None before that is known.
        self.last_sequence = after_sequence
        self._task_list_ids = task_list_ids
        self._kinds = kinds
        self._dense = not task_list_ids and not kinds
        self._backoff = resuming.Backoff(reconnect_timeout, jitter)
        self._opened = False
        self._joined = False
        self._follows = follows
        self._caught_up = False

    @property
    def finished(self) -> bool:
        """Tells whether nothing more is wanted: a feed that follows has no end of its own."""
        return self._caught_up and not self._follows

    def request(self) -> WatchEventsRequest:
        """Returns what to ask for to begin a stream after the last event shown, and expects that stream."""
        self._opened = False
        return requests.watch_events(self.last_sequence, self._task_list_ids, self._kinds, resuming.HEARTBEAT_INTERVAL)

    def receive(self, message: WatchEventsResponse) -> Iterator[Event]:
        """Yields the events of a message; raises ProtocolError if any are missing or repeated."""
        self._backoff.received()
        kind = message.WhichOneof("message")
        if (kind == "opened") == self._opened:
            raise self._broken(f"sent {kind!r} {'again' if self._opened else 'before opened'}")
        if kind == "opened":
            self._open(message.opened)
            return
        self._backoff.progressed()
        match kind:
            case "events":
                yield from self._events(message.events.events)
            case "heartbeat":
                # What the filters left out need not be looked at again.
                self.last_sequence = max(self.last_sequence or 0, message.heartbeat.last_sequence)
                self._caught_up = True
            case _:  # A message newer than this client.
                pass

    def lost(self, failure: errors.TaskgroveError | None, now: float) -> float:
        """Returns the seconds to wait before the next attempt, at `now`, a reading of a monotonic clock.

        Raises `failure` if trying again cannot help, and ServerUnavailable if attempts have failed for too long.
        """
        if failure is not None and not resuming.is_loss(failure, joined=self._joined):
            raise failure
        delay = self._backoff.delay(failure, now)
        if delay is None:
            advice = f"Watch them again after sequence {self.last_sequence or 0}"
            raise self._backoff.given_up("Watching events", advice, failure)
        return delay

    def _open(self, opened: WatchEventsResponse.Opened) -> None:
        self._opened = self._joined = True
        if self.last_sequence is None:
            self.last_sequence = opened.last_sequence
        elif self.last_sequence == 0:
            # Whoever starts from the oldest takes what there is.
            self.last_sequence = opened.first_sequence - 1

    def _events(self, events: Sequence[Event]) -> Iterator[Event]:
        for event in events:
            last = self.last_sequence or 0
            if event.sequence <= last or (self._dense and event.sequence != last + 1):
                raise self._broken(f"sent event {event.sequence} after event {last}")
            self.last_sequence = event.sequence
            yield event

    def _broken(self, what: str) -> errors.ProtocolError:
        return errors.ProtocolError(f"Watching events: the server {what}. Report this as a defect.")
