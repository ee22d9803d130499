"""A pool of threads that are all there from the start.

`ThreadPoolExecutor` starts a thread when there is work for it. Where the system grants none, it raises, and may do the
work all the same, later: whoever is told that nothing was done is told wrong.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from taskgrove_server.guarding import Steady, Troubles

T = TypeVar("T")
P = ParamSpec("P")

_Item = tuple[Future[Any], Callable[[], Any]]


class Workers(Executor):
    """Threads that do what is submitted, in order, and outlive whatever it raises.

    Raises RuntimeError when the system does not grant so many threads.
    """

    def __init__(self, count: int, name: str, troubles: Troubles | None = None) -> None:
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._threads: list[Steady] = []
        try:
            for number in range(count):
                step = functools.partial(self._work, number)
                thread = Steady(f"{name}-{number + 1}", step, troubles or Troubles())
                thread.start()
                self._threads.append(thread)
        except BaseException:
            self.shutdown()
            raise

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Has a function called; the future resolves to what it returns or raises. Raises RuntimeError once closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("The threads have ended.")
            self._queue.put((future, functools.partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads once everything is done; with `cancel_futures` what has not begun is not."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                while not self._queue.empty():
                    if item := self._queue.get():
                        item[0].cancel()
            for _ in self._threads:
                self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self, number: int) -> None:
        item = self._queue.get()
        if item is None:
            self._threads[number].stop()
            return
        future, work = item
        if not future.set_running_or_notify_cancel():
            return
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 -- it is the caller's
            future.set_exception(error)
        else:
            future.set_result(value)
