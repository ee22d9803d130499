"""Calls that are made again: what was done once is answered, and not done once more."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from taskgrove_server.api.front import Reads
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.store.requests import Answering, Recalled, RequestKey
from taskgrove_server.store.store import Store

T = TypeVar("T")


@dataclass(slots=True)
class _GoingOn:
    """A call that is at work, and how many wait for it: its caller, and those who have made it again."""

    key: RequestKey
    answer: asyncio.Task[Any]
    waiting: int = 0


def answering(key: RequestKey | None, told: Callable[[T], Message]) -> Answering[T] | None:
    """Returns how the answer of a call with a key is kept, given what makes its message; None of a call without."""

    def encode(outcome: T) -> bytes:
        return told(outcome).SerializeToString()

    return Answering(key, encode) if key else None


class Repeats:
    """Makes calls once that take long. Whoever makes one again meanwhile waits for the same answer.

    What is quick is told apart by the transaction of its change alone; see store.requests. A server owns its data
    directory by itself, so that all that is going on is known here.
    """

    def __init__(self, store: Store, reads: Reads) -> None:
        self._store = store
        self._reads = reads
        self._going_on: dict[str, _GoingOn] = {}

    async def once(
        self,
        key: RequestKey | None,
        work: Callable[[], Awaitable[T]],
        again: Callable[[Recalled], Awaitable[T]],
        *,
        ends_with_callers: bool = False,
    ) -> T:
        """Returns what `work` returns, or for a call that was made before what `again` makes of what is kept of it.

        `work` keeps its answer in the store; what it raises is kept nowhere. It goes on when its callers leave, unless
        it `ends_with_callers`. Raises RequestIdReused.
        """
        if key is None:
            return await work()
        going_on = self._going_on.get(key.id)
        if going_on is None:
            # Before anything is awaited: of two calls at the same moment the second finds the first.
            going_on = self._going_on[key.id] = _GoingOn(key, asyncio.ensure_future(self._answer(key, work, again)))
            going_on.answer.add_done_callback(functools.partial(self._end, going_on))
        elif going_on.key != key:
            raise errors.RequestIdReused(key.id)
        going_on.waiting += 1
        try:
            answer: T = await asyncio.shield(going_on.answer)
            return answer
        finally:
            going_on.waiting -= 1
            if ends_with_callers and not going_on.waiting and not going_on.answer.done():
                # Whoever makes the call again from now on must not wait for this one.
                self._forget(going_on)
                going_on.answer.cancel()

    async def task(self, known: Recalled) -> Task:
        """Returns the task that an earlier call was about, as it is now. Raises TaskNotFound."""
        return await self._reads(self._store.tasks.get, TaskId(known.subject_id))

    async def _answer(
        self, key: RequestKey, work: Callable[[], Awaitable[T]], again: Callable[[Recalled], Awaitable[T]]
    ) -> T:
        known = await self._reads(self._store.requests.recall, key)
        return await work() if known is None else await again(known)

    def _end(self, going_on: _GoingOn, done: asyncio.Task[Any]) -> None:
        self._forget(going_on)
        # Asked for here, an error counts as seen even if all who waited have left.
        if not done.cancelled():
            done.exception()

    def _forget(self, going_on: _GoingOn) -> None:
        if self._going_on.get(going_on.key.id) is going_on:
            del self._going_on[going_on.key.id]
