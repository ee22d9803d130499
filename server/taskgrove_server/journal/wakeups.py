"""Wakes the watchers of a task. A wake-up carries no data, so none is worse than late and many are as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from taskgrove_server.domain.ids import TaskId

#: What those watch who want to know of every task. No id is like it.
EVERY_TASK = TaskId("*")

#: More watchers of a task than that are a crowd. To tell it of each line by itself would take all of the event loop's
#: time: a message costs about 50 us, however many lines it has.
CROWD = 100

#: Seconds that a crowd rests at most after it was told of lines.
LONGEST_REST = 0.01


class _Watched:
    """A task that has watchers. A crowd of them rests for as long as it took to tell all, and gets more lines then."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.shared: dict[Any, Any] = {}
        #: Until when the crowd rests, by the loop's clock.
        self._rests_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, loop: asyncio.AbstractEventLoop, *, task_changed: bool) -> None:
        """Wakes all watchers: at once for a change of the task, as soon as it has rested a crowd for lines."""
        if task_changed or len(self.subscriptions) <= CROWD:
            for subscription in self.subscriptions:
                subscription.wake(task_changed=task_changed)
        elif self._timer is None:
            self._timer = loop.call_at(max(self._rests_until, loop.time()), self._tell, loop)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        start = loop.time()
        for subscription in self.subscriptions:
            subscription.wake(task_changed=False)
        # Behind all that was woken, none of whom is waited for: one whose client does not read costs no other.
        loop.call_soon(self._rest, loop, start)

    def _rest(self, loop: asyncio.AbstractEventLoop, start: float) -> None:
        end = loop.time()
        self._rests_until = end + min(end - start, LONGEST_REST)


class Subscription:
    """One watcher's interest in one task. Lives on the event loop."""

    def __init__(self, wakeups: Wakeups, task_id: TaskId) -> None:
        self._wakeups = wakeups
        self._watched = _Watched()
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        #: Set for a deadline that may have been put off since.
        self._timer: asyncio.TimerHandle | None = None
        self.task_id = task_id
        #: The task has changed since this was last set to False.
        self.task_changed = True

    @property
    def shared(self) -> dict[Any, Any]:
        """Returns what the watchers of the task keep for each other; another one as soon as the task has changed."""
        return self._watched.shared

    @property
    def draining(self) -> bool:
        """Tells whether the server is shutting down."""
        return self._wakeups.draining

    async def wait(self, seconds: float) -> bool:
        """Waits for lines, a change or the drain; False when nothing came in time."""
        if not self._woken:
            # An Event within a timeout takes several times as long, which shows at a thousand lines a second.
            loop = asyncio.get_running_loop()
            self._expect(loop, seconds)
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        woken, self._woken = self._woken, False
        return woken

    def _expect(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Sees to it that `wait` ends in time. A timer of its own for each wait would take as long as the wait."""
        self._deadline = loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if loop.time() >= self._deadline:
            self._release()
        elif self._waiter is not None:
            self._timer = loop.call_at(self._deadline, self._expire, loop)

    def wake(self, *, task_changed: bool) -> None:
        """Makes `wait` return, now or when it is next called."""
        self.task_changed = self.task_changed or task_changed
        self._woken = True
        self._release()

    def _release(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __enter__(self) -> Self:
        self._watched = self._wakeups.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wakeups.remove(self)
        if self._timer is not None:
            self._timer.cancel()


class Wakeups:
    """Takes wake-ups from any thread and hands them to the watchers on the event loop, many in one turn."""

    def __init__(self) -> None:
        self._watched: dict[TaskId, _Watched] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._pending: dict[TaskId, bool] = {}
        self.draining = False

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Names the loop of the watchers; None when it is about to close."""
        with self._lock:
            self._loop = loop

    def subscribe(self, task_id: TaskId) -> Subscription:
        """Returns a subscription to a task or to EVERY_TASK, to be entered before anything is read."""
        return Subscription(self, task_id)

    def lines(self, task_id: TaskId) -> None:
        """Tells that a task has new lines."""
        self._notify((task_id,), task_changed=False)

    def tasks(self, task_ids: Iterable[TaskId]) -> None:
        """Tells that tasks have changed."""
        self._notify((*task_ids, EVERY_TASK), task_changed=True)

    def drain(self) -> None:
        """Tells all watchers, on the loop, that the server is shutting down."""
        self.draining = True
        for watched in self._watched.values():
            for subscription in watched.subscriptions:
                subscription.wake(task_changed=False)

    def add(self, subscription: Subscription) -> _Watched:
        """Starts to wake a watcher; on the loop."""
        watched = self._watched.setdefault(subscription.task_id, _Watched())
        watched.subscriptions.add(subscription)
        return watched

    def remove(self, subscription: Subscription) -> None:
        """Stops to wake a watcher; on the loop."""
        subscriptions = self._watched[subscription.task_id].subscriptions
        subscriptions.discard(subscription)
        if not subscriptions:
            del self._watched[subscription.task_id]

    def _notify(self, task_ids: Iterable[TaskId], *, task_changed: bool) -> None:
        # A watcher that subscribes just now has not read yet, so that it needs no wake-up.
        watched = {task_id: found for task_id in task_ids if (found := self._watched.get(task_id))}
        if not watched:
            return
        if task_changed:
            for found in watched.values():
                found.shared = {}
        with self._lock:
            if self._loop is None:
                return
            if not self._pending:
                self._loop.call_soon_threadsafe(self._flush)
            for task_id in watched:
                self._pending[task_id] = self._pending.get(task_id, False) or task_changed

    def _flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        loop = asyncio.get_running_loop()
        for task_id, task_changed in pending.items():
            if watched := self._watched.get(task_id):
                watched.wake(loop, task_changed=task_changed)
