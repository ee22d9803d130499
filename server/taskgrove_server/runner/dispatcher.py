"""Gives queued tasks to free slots, and tells those who hold one that their task is to be cancelled.

Both follow from what is stored: the dispatcher looks again after every commit, and once a second in any case.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.guarding import Steady, Troubles
from taskgrove_server.runner.holding import Holding
from taskgrove_server.runner.mailbox import Mailbox
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.slots import Waiting
from taskgrove_server.store.store import Store

log = logging.getLogger(__name__)

#: Seconds between two looks when nothing tells of a commit: for a claim that the store could not take or for which the
#: disk had no room, and for what was missed.
INTERVAL = 1.0


class Dispatcher:
    """Claims tasks, oldest first, and runs each in a thread of the pool, one a slot."""

    def __init__(
        self,
        store: Store,
        slots: int,
        space: FreeSpace,
        holding: Holding,
        work: Callable[[Task, Mailbox], None],
        troubles: Troubles | None = None,
    ) -> None:
        self._store = store
        self._holding = holding
        self._space = space
        self._short = False
        self._work = work
        self._slots = slots
        self._free = list(range(1, slots + 1))
        #: Numbers for the taken-up tasks that find no free slot, because the server now has fewer.
        self._extra = itertools.count(slots + 1)
        self._mailboxes: dict[TaskId, Mailbox] = {}
        #: Tasks in slots that a commit has touched since the last look.
        self._touched: set[TaskId] = set()
        self._looked_at_all = 0.0
        #: Tasks that were claimed, and for which there was no thread.
        self._unplaced: list[TaskId] = []
        self._working: set[futures.Future[None]] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        # Taken-up tasks keep their threads even when the server now has fewer slots.
        self._pool = futures.ThreadPoolExecutor(max_workers=4096, thread_name_prefix="slot")
        self._thread = Steady(
            "dispatcher", self._look, troubles or Troubles(), vital=True, leave=store.close_connection
        )

    @property
    def slots(self) -> int:
        """Returns how many tasks run at once."""
        return self._slots

    @property
    def busy(self) -> int:
        """Returns how many slots are taken."""
        with self._lock:
            return len(self._working)

    @property
    def space_short(self) -> bool:
        """Tells whether tasks wait for room on the disk."""
        return self._short

    def start(self) -> None:
        """Begins to claim what waits already."""
        self._wake.set()
        self._thread.start()

    def changed(self, task_ids: Iterable[TaskId]) -> None:
        """Tells that tasks have changed: one of them may be waiting, or is to be cancelled."""
        with self._lock:
            self._touched |= self._mailboxes.keys() & task_ids
        self._wake.set()

    def take_up(self, task: Task, prepare: Callable[[Task, Mailbox], Callable[[], None]]) -> None:
        """Gives a slot to a task that a slot of an earlier server held; `prepare` returns its work."""
        with self._lock:
            slot = heapq.heappop(self._free) if self._free else next(self._extra)
            mailbox = self._mailboxes[task.id] = Mailbox(cancelled=task.cancel_requested)
        task = self._store.slots.reclaim(task.id, slot).result()
        work = prepare(task, mailbox)
        self._occupy(task, slot, mailbox, work)

    def stop(self, *, stop_runs: bool) -> None:
        """Claims no more, and tells the threads to leave what runs to the next server, or to stop it."""
        self._thread.stop()
        self._wake.set()
        self._thread.join()
        with self._lock:
            mailboxes = list(self._mailboxes.values())
        for mailbox in mailboxes:
            mailbox.stop() if stop_runs else mailbox.detach()

    def wait(self, seconds: float | None) -> bool:
        """Waits for the threads to end, after `stop`; tells whether they have."""
        with self._lock:
            working = list(self._working)
        return not futures.wait(working, seconds).not_done

    def _look(self) -> None:
        self._wake.wait(INTERVAL)
        self._wake.clear()
        self._pass_on_cancels()
        self._put_back()
        while not self._thread.stopped and self._has_space() and (waiting := self._next()):
            self._claim(waiting)

    def _pass_on_cancels(self) -> None:
        """Tells threads that their task was cancelled: at once, and again with each look at everything.

        What a cancel interrupts is one command. Between two of them there is nothing to interrupt.
        """
        now = time.monotonic()
        everything = now - self._looked_at_all >= INTERVAL
        with self._lock:
            touched, self._touched = self._touched, set()
            # Taken before the look: of a task that is continued meanwhile, the slot's next thread is not meant.
            asked = {
                task_id: mailbox
                for task_id, mailbox in self._mailboxes.items()
                if everything or (task_id in touched and not mailbox.cancelled)
            }
        if asked:
            for task_id in self._store.slots.cancelled(asked):
                asked[task_id].cancel()
        if everything:
            self._looked_at_all = now

    def _put_back(self) -> None:
        """Takes tasks that were claimed, and for which there was no thread, back to their place in the queue."""
        while self._unplaced:
            self._store.slots.requeue(self._unplaced[-1]).result()
            self._unplaced.pop()

    def _next(self) -> Waiting | None:
        """Returns the task for which a slot is free; None when none is, or when none waits that may be claimed."""
        with self._lock:
            free = bool(self._free)
        return self._holding.next() if free else None

    def _has_space(self) -> bool:
        short = self._space.short()
        if short != self._short:
            self._short = short
            log.warning(
                "%s: the disk of %s has %s room",
                "No task is started" if short else "Tasks are started again",
                self._space.directory,
                "too little" if short else "enough",
            )
        return not short

    def _claim(self, waiting: Waiting) -> None:
        """Has a thread do the work of a task, unless it waits no longer."""
        slot = self._take_slot()
        task = None
        try:
            # Before the claim: there may be no descriptors left for it.
            mailbox = Mailbox()
            try:
                task = self._store.slots.claim(waiting.task_id, slot).result()
            finally:
                if task is None:
                    mailbox.close()
        finally:
            if task is None:
                self._give_back(slot)
        if task is None:
            return
        self._holding.claimed(waiting)
        with self._lock:
            self._mailboxes[task.id] = mailbox
            # A cancel that came since the claim found no mailbox: the next look, which is at once, does.
            self._touched.add(task.id)
        self._wake.set()
        try:
            self._occupy(task, slot, mailbox, lambda: self._work(task, mailbox))
        except Exception:
            self._unplaced.append(task.id)
            raise

    def _take_slot(self) -> int:
        # Only the dispatcher's own thread takes any once it has begun, so that there still is one.
        with self._lock:
            return heapq.heappop(self._free)

    def _give_back(self, slot: int) -> None:
        with self._lock:
            if slot <= self._slots:
                heapq.heappush(self._free, slot)

    def _occupy(self, task: Task, slot: int, mailbox: Mailbox, work: Callable[[], None]) -> None:
        """Has a thread do the work; raises an error when none can be started, and then it is not done."""
        working: futures.Future[None] = futures.Future()
        with self._lock:
            self._working.add(working)
        working.add_done_callback(self._ended)
        try:
            self._pool.submit(self._hold, working, task, slot, mailbox, work)
        except Exception:
            # What the pool has no thread for stays in its queue, where a thread may find it later, or just has.
            if working.cancel():
                self._vacate(task, slot, mailbox)
                raise

    def _ended(self, working: futures.Future[None]) -> None:
        with self._lock:
            self._working.discard(working)

    def _hold(
        self, working: futures.Future[None], task: Task, slot: int, mailbox: Mailbox, work: Callable[[], None]
    ) -> None:
        if not working.set_running_or_notify_cancel():
            return
        try:
            work()
        except Exception:
            # Whatever happens, the slot is not lost.
            log.exception("Task %s: the slot's work has failed", task.id)
        finally:
            try:
                self._vacate(task, slot, mailbox)
                self._store.close_connection()
            finally:
                # Whoever waits for the slots to be empty waits for this one no longer, whatever went wrong.
                working.set_result(None)
                self._wake.set()

    def _vacate(self, task: Task, slot: int, mailbox: Mailbox) -> None:
        with self._lock:
            # A task that was continued the moment it came to rest may be in another slot already.
            if self._mailboxes.get(task.id) is mailbox:
                del self._mailboxes[task.id]
        self._holding.left(task.id)
        self._give_back(slot)
        mailbox.close()
