"""Runs what blocks for long, such as git, off the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
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
        self._count = 0

    async def __call__(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Returns what `work` returns; a caller who leaves ends it. Raises TooManyCalls."""
        thread: list[int] = []
        future = self._submit(functools.partial(work, *arguments, **options), thread)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.cancel():
                for identifier in thread:
                    self._interrupt(identifier)
            raise

    async def finish(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """As a call, but the work goes on to its end when the caller leaves: half of it would help nobody."""
        return await asyncio.shield(self._submit(functools.partial(work, *arguments, **options), []))

    async def iterate(self, items: Generator[T], batch: Callable[[Generator[T]], list[T]]) -> AsyncIterator[T]:
        """Yields what `items` yields; `batch` takes some at a time, in the pool, and nothing in the end.

        Closes `items` when everything was taken or the caller leaves. Raises TooManyCalls.
        """
        future: asyncio.Future[list[T]] | None = None
        try:
            while True:
                future = self._submit(functools.partial(batch, items), [])
                taken = await asyncio.shield(future)
                if not taken:
                    return
                for item in taken:
                    yield item
        finally:
            # A generator that is being asked cannot be closed at the same time.
            if future is not None and not future.done():
                future.add_done_callback(lambda _: self._pool.submit(items.close))
            else:
                self._pool.submit(items.close)

    def close(self) -> None:
        """Waits for what is being done, and ends the threads."""
        self._pool.shutdown()

    def _submit(self, work: Callable[[], T], thread: list[int]) -> asyncio.Future[T]:
        if self._count >= MOST:
            raise errors.TooManyCalls(MOST)
        self._count += 1

        def run() -> T:
            thread.append(threading.get_ident())
            try:
                return work()
            finally:
                thread.clear()
                self._store.close_connection()

        future = asyncio.get_running_loop().run_in_executor(self._pool, run)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._count -= 1
        # Asked for here, it counts as seen even if the caller has left.
        if not future.cancelled():
            future.exception()
