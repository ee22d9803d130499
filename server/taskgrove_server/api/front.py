"""What the servicers share: the way to the store from the event loop, request keys, and a check of schemas."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from google.protobuf.message import Message

from taskgrove.v1 import run_config_pb2
from taskgrove_server.agents import output_schema
from taskgrove_server.domain import errors
from taskgrove_server.guarding import Troubles
from taskgrove_server.store import requests
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.store import Store
from taskgrove_server.workers import Workers

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Threads that read the store; SQLite readers do not wait for each other, but share one interpreter.
READERS = 4

#: Threads for reads that look through all tasks: a million of them take 0.3 s.
SCANNERS = 2

#: Seconds that the threads wait for each other at the end.
PATIENCE = 5.0


#: Answers that are kept for others to share.
SHARED = 64


class Reads:
    """Runs the store's blocking reads off the event loop."""

    def __init__(self, store: Store, troubles: Troubles | None = None) -> None:
        self.store = store
        self._pool = Workers(READERS, "store-reader", troubles)
        self._scanners = Workers(SCANNERS, "store-scanner", troubles)
        # Later there may be no descriptors for it, and calls are answered all the same.
        self._in_each_thread(self.store.open_connection)

    async def __call__(self, read: Callable[..., T], *arguments: Any) -> T:
        """Returns what `read` returns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, read, *arguments)

    async def scan(self, read: Callable[..., T], *arguments: Any) -> T:
        """As a call, for a read that takes longer the more there is: those that do not never wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._scanners, read, *arguments)

    async def shared(self, kept: dict[Any, Any], read: Callable[..., T], *arguments: Any) -> T:
        """As a call, but the answer stays in `kept` for others who ask the same; an error does not."""
        key = (read, arguments)
        answer: asyncio.Future[T] | None = kept.get(key)
        if answer is None:
            if len(kept) >= SHARED:
                kept.clear()
            answer = kept[key] = asyncio.get_running_loop().run_in_executor(self._pool, read, *arguments)
            answer.add_done_callback(functools.partial(_forget_error, kept, key))
        # One who leaves must not take the answer from the others.
        return await asyncio.shield(answer)

    async def earlier(self, key: RequestKey | None) -> str | None:
        """Returns the id of what the same request returned before, None when it is new; raises RequestIdReused.

        Asked before anything that a repeat does not depend on any more: its list or repository may be gone by now.
        """
        return None if key is None else await self(requests.look_up, key)

    def close(self) -> None:
        """Ends the threads, each with its connection."""
        self._in_each_thread(self.store.close_connection)
        for pool in (self._pool, self._scanners):
            pool.shutdown()

    def _in_each_thread(self, work: Callable[[], None]) -> None:
        for pool, count in ((self._pool, READERS), (self._scanners, SCANNERS)):
            together = threading.Barrier(count)  # so that no thread takes the part of another
            for _ in range(count):
                pool.submit(_wait_and_do, together, work)


def _wait_and_do(together: threading.Barrier, work: Callable[[], None]) -> None:
    together.wait(PATIENCE)
    work()


def _forget_error(kept: dict[Any, Any], key: Any, answer: asyncio.Future[Any]) -> None:
    # Asked for here, it counts as seen even if all who waited have left.
    if answer.cancelled() or answer.exception():
        kept.pop(key, None)


async def stored(change: Future[T]) -> T:
    """Returns the result of a change once it is on disk."""
    return await asyncio.wrap_future(change)


def request_key(method: str, request: Any) -> RequestKey | None:
    """Returns the key of a request with a `request_id`, None without one."""
    if not request.request_id:
        return None
    body: Message = type(request)()
    body.CopyFrom(request)
    body.ClearField("request_id")
    fingerprint = hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
    return RequestKey(request.request_id, method, fingerprint)


async def check_output_schema(field: str, config: run_config_pb2.RunConfig) -> None:
    """Raises InvalidRequest for an output schema that no output can be held against; `field` is the config's name."""
    if not config.output_schema:
        return
    try:
        # A process of its own, as a schema may take long to look through. It ends by itself.
        problem = await asyncio.to_thread(output_schema.problem, config.output_schema)
    except output_schema.CheckFailed as error:
        # The machine is short of something. The run will see.
        log.warning("An output schema could not be checked: %s", error)
        return
    if problem:
        raise errors.InvalidRequest((f"{field}.output_schema", f"cannot be used: {problem}"))
