"""When a lost stream is opened again, and when it is given up; without I/O, for both clients."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import grpc

from taskgrove import errors

#: Seconds after which a silent server sends a heartbeat.
HEARTBEAT_INTERVAL = 15.0

#: Seconds before the first new attempt, and at most; the wait doubles in between and is cut by up to half at
#: random, so that the watchers of a restarted server do not come back all at once.
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0

#: Status codes that say nothing of what is watched: the connection, a proxy, or the server's process went away.
LOSSES = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})

#: What gRPC and proxies put into INTERNAL and UNKNOWN when a stream is reset under way.
RESETS = ("rst_stream", "goaway", "stream removed", "stream reset", "connection reset", "socket closed")


Request_co = TypeVar("Request_co", covariant=True)
Response_contra = TypeVar("Response_contra", contravariant=True)
Item_co = TypeVar("Item_co", covariant=True)


class Resumable(Protocol[Request_co, Response_contra, Item_co]):
    """What is followed across streams."""

    @property
    def finished(self) -> bool:
        """Tells whether everything was shown, and nothing more will come."""
        ...

    def request(self) -> Request_co:
        """Returns what to ask for to begin a stream where the last one ended, and expects that stream."""
        ...

    def receive(self, message: Response_contra) -> Iterator[Item_co]:
        """Yields what a message shows; raises ProtocolError when the server breaks its contract."""
        ...

    def lost(self, failure: errors.TaskgroveError | None, now: float) -> float:
        """Returns the seconds to wait before the next attempt, at `now`, a reading of a monotonic clock.

        `failure` is None when the stream ended with OK too early. Raises `failure` if trying again cannot help, and
        ServerUnavailable if attempts have failed for too long.
        """
        ...


class Backoff:
    """Counts attempts that fail.

    `reconnect_timeout` bounds the seconds for which they may fail in a row; None means for ever. `jitter` returns
    numbers from 0 to 1.
    """

    def __init__(self, reconnect_timeout: float | None, jitter: Callable[[], float] = random.random) -> None:
        self._reconnect_timeout = reconnect_timeout
        self._jitter = jitter
        self._failing_since: float | None = None
        self._failures = 0

    def received(self) -> None:
        """Notes a message: the server is there."""
        self._failing_since = None

    def progressed(self) -> None:
        """Notes a message that goes on from where another stream ended.

        A server that opens a stream and drops it at once, again and again, is not recovering.
        """
        self._failures = 0

    def delay(self, failure: errors.TaskgroveError | None, now: float) -> float | None:
        """Returns the seconds to wait before the next attempt, None when attempts have failed for too long.

        `now` is a reading of a monotonic clock.
        """
        if self._failing_since is None:
            self._failing_since = now
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self._failures, 16))
        self._failures += 1
        delay = backoff * (1 - self._jitter() / 2)
        if failure is not None and failure.retry_delay is not None:
            delay += failure.retry_delay
        if self._reconnect_timeout is None:
            return delay
        # The last attempt is made when the time is up, not earlier.
        remaining = self._failing_since + self._reconnect_timeout - now
        return min(delay, remaining) if remaining > 0 else None

    def given_up(self, what: str, advice: str, failure: errors.TaskgroveError | None) -> errors.ServerUnavailable:
        """Returns the error of one who does not try again."""
        last = failure.message if failure is not None else "The stream ended early."
        error = errors.ServerUnavailable(
            f"{what} failed for {self._reconnect_timeout:g} s. {advice} when the server is back. "
            f"The last failure: {last}",
            reason=failure.reason if failure is not None else None,
            code=grpc.StatusCode.UNAVAILABLE,
        )
        error.__cause__ = failure.__cause__ if failure is not None else None
        return error


def silence_timeout() -> float:
    """Returns the seconds without any message after which a stream is lost."""
    return 3 * HEARTBEAT_INTERVAL


def silent(seconds: float) -> errors.ServerUnavailable:
    """Returns the loss of a stream that brought nothing for that many seconds."""
    return errors.ServerUnavailable(f"The server was silent for {seconds:g} s.", code=grpc.StatusCode.UNAVAILABLE)


def is_loss(failure: errors.TaskgroveError, *, joined: bool) -> bool:
    """Tells whether to try again after a failure; `joined` tells that an earlier attempt was let in."""
    if failure.code in LOSSES:
        return True
    if isinstance(failure, errors.TooManyWatchers):
        # After a restart all come back at once: who was let in before waits for its place.
        return joined
    # The service's own errors always have a reason.
    if failure.reason is not None or not isinstance(failure, errors.InternalServerError):
        return False
    return any(sign in failure.message.lower() for sign in RESETS)
