"""Runs what blocks for long, such as git, off the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent import futures
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from taskgrove_server.domain import errors
from taskgrove_server.guarding import Troubles
from taskgrove_server.store.store import Store
from taskgrove_server.workers import Workers

T = TypeVar("T")

#: Threads for such work: most of its time git works, and there is a processor or two.
THREADS = 8

#: Threads for streams, so that no crowd of them stands before the calls.
STREAM_THREADS = 4

#: Calls that may hold a thread or wait for one; more are told to come back. Beside them as many streams, each of which
#: has a program at work or waiting for its reader.
MOST = 64

#: Seconds between two attempts to end what a caller has left: it may be between two git commands at the first.
INSISTING = 0.1


class Work(Generic[T]):
    """Something that is done in a thread, and that can be ended from another as long as it is being done.

    `interrupt` is called with a thread's identifier to end what it waits for.
    """

    def __init__(self, work: Callable[[], T], interrupt: Callable[[int], None]) -> None:
        self._work = work
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._thread: int | None = None

    def __call__(self) -> T:
        """Does it in the calling thread."""
        with self._lock:
            self._thread = threading.get_ident()
        try:
            return self._work()
        finally:
            # Under the lock: the thread may do other work next, which nobody wants to end.
            with self._lock:
                self._thread = None

    def end(self, working: Future[T]) -> None:
        """Has it end, again and again until it does; `working` tells. To be called on the event loop."""
        if working.done() or working.cancel():
            return
        with self._lock:
            if self._thread is not None:
                self._interrupt(self._thread)
        asyncio.get_running_loop().call_later(INSISTING, self.end, working)


class _Threads:
    """A pool of threads, and what they do or are about to do."""

    def __init__(self, store: Store, count: int, name: str, troubles: Troubles | None) -> None:
        self._store = store
        self._pool = Workers(count, name, troubles)
        self.working: set[Future[Any]] = set()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Has work done."""

        def run() -> T:
            try:
                return work()
            finally:
                self._store.close_connection()

        working = self._pool.submit(run)
        self.working.add(working)
        working.add_done_callback(self.working.discard)
        return working

    def close(self) -> None:
        """Ends the threads once everything is done."""
        self._pool.shutdown()


class Offloading:
    """Calls and streams, in threads. `interrupt` is called with a thread's identifier to end what it waits for."""

    def __init__(self, store: Store, interrupt: Callable[[int], None], troubles: Troubles | None = None) -> None:
        self._interrupt = interrupt
        self._calls = _Threads(store, THREADS, "offloaded", troubles)
        self._batches = _Threads(store, STREAM_THREADS, "offloaded-stream", troubles)
        self._streams = 0
        #: What takes many steps should not begin another one.
        self.closing = False

    @property
    def busy(self) -> bool:
        """Tells whether something is being done. Who asked for it may have left."""
        return bool(self._calls.working or self._batches.working)

    async def __call__(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Returns what `work` returns; a caller who leaves ends it. Raises TooManyCalls."""
        doing = Work(functools.partial(work, *arguments, **options), self._interrupt)
        working = self._begin(doing)
        try:
            return await result(working)
        except asyncio.CancelledError:
            doing.end(working)
            raise

    async def finish(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """As a call, but the work goes on to its end when the caller leaves: half of it would help nobody."""
        return await result(self._begin(functools.partial(work, *arguments, **options)))

    async def iterate(self, items: Generator[T], batch: Callable[[Generator[T]], list[T]]) -> AsyncIterator[T]:
        """Yields what `items` yields; `batch` takes some at a time, in a thread, and nothing in the end.

        Closes `items` when everything was taken or the caller leaves. Raises TooManyCalls before anything is taken.
        """
        admit(self._streams)
        self._streams += 1
        working: Future[list[T]] | None = None
        try:
            while True:
                working = self._batches.submit(functools.partial(batch, items))
                taken = await result(working)
                if not taken:
                    return
                for item in taken:
                    yield item
        finally:
            self._streams -= 1
            # A generator that is being asked cannot be closed at the same time.
            if working is not None and not working.done():
                working.add_done_callback(lambda _: items.close())
            else:
                self._batches.submit(items.close)

    def close(self, patience: float, stop: Callable[[], None]) -> None:
        """Waits for what is being done, and ends the threads; calls `stop` when that has taken `patience` seconds."""
        self.closing = True
        if futures.wait([*self._calls.working, *self._batches.working], patience).not_done:
            stop()
        self._calls.close()
        self._batches.close()

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        admit(len(self._calls.working))
        return self._calls.submit(work)


def admit(count: int) -> None:
    """Raises TooManyCalls when there are as many as there may be."""
    if count >= MOST:
        raise errors.TooManyCalls(MOST)


async def result(working: Future[T]) -> T:
    """Waits for a result; one who leaves does not take the work along."""
    future = asyncio.wrap_future(working)
    # Asked for here, an error counts as seen even if the caller has left.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(future)
