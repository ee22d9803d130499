"""Runs what blocks for long, such as git, off the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from taskgrove_server.domain import errors
from taskgrove_server.store.store import Store

T = TypeVar("T")

#: Threads for such work: most of its time git works, and there is a processor or two.
THREADS = 8

#: Calls that may hold a thread or wait for one; more are told to come back.
MOST = 64


class Offloading:
    """A pool of threads. `interrupt` is called with a thread's identifier to end what it waits for."""

    def __init__(self, store: Store, interrupt: Callable[[int], None]) -> None:
        self._store = store
        self._interrupt = interrupt
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="offloaded")
        self._working: set[Future[Any]] = set()
        #: What takes many steps should not begin another one.
        self.closing = False

    async def __call__(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Returns what `work` returns; a caller who leaves ends it. Raises TooManyCalls."""
        thread: list[int] = []
        working = self._submit(functools.partial(work, *arguments, **options), thread)
        try:
            return await _result(working)
        except asyncio.CancelledError:
            if not working.cancel():
                for identifier in thread:
                    self._interrupt(identifier)
            raise

    async def finish(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """As a call, but the work goes on to its end when the caller leaves: half of it would help nobody."""
        return await _result(self._submit(functools.partial(work, *arguments, **options), []))

    async def iterate(self, items: Generator[T], batch: Callable[[Generator[T]], list[T]]) -> AsyncIterator[T]:
        """Yields what `items` yields; `batch` takes some at a time, in the pool, and nothing in the end.

        Closes `items` when everything was taken or the caller leaves. Raises TooManyCalls.
        """
        working: Future[list[T]] | None = None
        try:
            while True:
                working = self._submit(functools.partial(batch, items), [])
                taken = await _result(working)
                if not taken:
                    return
                for item in taken:
                    yield item
        finally:
            # A generator that is being asked cannot be closed at the same time.
            if working is not None and not working.done():
                working.add_done_callback(lambda _: items.close())
            else:
                self._pool.submit(items.close)

    def close(self, patience: float, stop: Callable[[], None]) -> None:
        """Waits for what is being done, and ends the threads; calls `stop` when that has taken `patience` seconds."""
        self.closing = True
        if futures.wait(list(self._working), patience).not_done:
            stop()
        self._pool.shutdown()

    def _submit(self, work: Callable[[], T], thread: list[int]) -> Future[T]:
        if len(self._working) >= MOST:
            raise errors.TooManyCalls(MOST)

        def run() -> T:
            thread.append(threading.get_ident())
            try:
                return work()
            finally:
                thread.clear()
                self._store.close_connection()

        working = self._pool.submit(run)
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return working


async def _result(working: Future[T]) -> T:
    """Waits for a result; one who leaves does not take the work along."""
    future = asyncio.wrap_future(working)
    # Asked for here, an error counts as seen even if the caller has left.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(future)
