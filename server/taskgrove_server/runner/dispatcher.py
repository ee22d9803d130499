"""Gives queued tasks to free slots."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from concurrent import futures

from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.runner.mailbox import Mailbox
from taskgrove_server.runner.space import FreeSpace
from taskgrove_server.store.store import Store

log = logging.getLogger(__name__)

#: Seconds until a claim is tried again that the store could not take, or for which the disk had no room.
PATIENCE = 1.0


class Dispatcher:
    """Claims tasks, oldest first, and runs each in a thread of the pool, one a slot."""

    def __init__(self, store: Store, slots: int, space: FreeSpace, work: Callable[[Task, Mailbox], None]) -> None:
        self._store = store
        self._space = space
        self._short = False
        self._work = work
        self._slots = slots
        self._free = list(range(1, slots + 1))
        #: Numbers for the taken-up tasks that find no free slot, because the server now has fewer.
        self._extra = itertools.count(slots + 1)
        self._mailboxes: dict[TaskId, Mailbox] = {}
        self._working: set[futures.Future[None]] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        # Taken-up tasks keep their threads even when the server now has fewer slots.
        self._pool = futures.ThreadPoolExecutor(max_workers=4096, thread_name_prefix="slot")
        self._thread = threading.Thread(target=self._dispatch, name="dispatcher", daemon=True)

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
        """Begins to claim."""
        self._thread.start()

    def wake(self) -> None:
        """Tells that a task may be waiting."""
        self._wake.set()

    def cancel(self, task_id: TaskId) -> None:
        """Tells the thread of a task, if there is one, that the task was cancelled."""
        with self._lock:
            mailbox = self._mailboxes.get(task_id)
        if mailbox is not None:
            mailbox.cancel()

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
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
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

    def _dispatch(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._stopping and self._has_space() and self._claim():
                    pass
            except errors.StoreUnavailable as error:
                log.error("No task can be claimed: %s", error)
                threading.Timer(PATIENCE, self._wake.set).start()
            if self._stopping:
                self._store.close_connection()
                return

    def _has_space(self) -> bool:
        short = self._space.short()
        if short != self._short:
            self._short = short
            where = f"{self._space.directory} has {'less' if short else 'at least'} {self._space.least >> 20} MiB free"
            log.warning("%s: %s", "No task is started" if short else "Tasks are started again", where)
        if short:
            threading.Timer(PATIENCE, self._wake.set).start()
        return not short

    def _claim(self) -> bool:
        slot = self._take_slot()
        if slot is None:
            return False
        task = None
        try:
            task = self._store.slots.claim(slot).result()
        finally:
            if task is None:
                self._give_back(slot)
        if task is None:
            return False
        mailbox = Mailbox()
        with self._lock:
            self._mailboxes[task.id] = mailbox
        self._occupy(task, slot, mailbox, lambda: self._work(task, mailbox))
        return True

    def _take_slot(self) -> int | None:
        with self._lock:
            return heapq.heappop(self._free) if self._free else None

    def _give_back(self, slot: int) -> None:
        with self._lock:
            if slot <= self._slots:
                heapq.heappush(self._free, slot)

    def _occupy(self, task: Task, slot: int, mailbox: Mailbox, work: Callable[[], None]) -> None:
        working = self._pool.submit(self._hold, task, slot, mailbox, work)
        with self._lock:
            self._working.add(working)
        working.add_done_callback(self._ended)

    def _ended(self, working: futures.Future[None]) -> None:
        with self._lock:
            self._working.discard(working)

    def _hold(self, task: Task, slot: int, mailbox: Mailbox, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # Whatever happens, the slot is not lost.
            log.exception("Task %s: the slot's work has failed", task.id)
        finally:
            with self._lock:
                # A task that was continued the moment it came to rest may be in another slot already.
                if self._mailboxes.get(task.id) is mailbox:
                    del self._mailboxes[task.id]
            self._give_back(slot)
            mailbox.close()
            self._store.close_connection()
            self._wake.set()
