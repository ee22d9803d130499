"""Reads of tasks for callers, who are answered what is encoded already wherever it can be."""

from __future__ import annotations

from taskgrove.v1.task_service_pb2 import GetTaskResponse
from taskgrove_server.api import conversions, paging
from taskgrove_server.api.encoded_tasks import EncodedTasks, View
from taskgrove_server.api.front import Reads
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import Task
from taskgrove_server.store import listing
from taskgrove_server.store.listing import Place

#: Tasks of a page that are read at once: with the longest texts, many more would not fit into one.
_SOME = 50


class TaskReads:
    """Finds tasks and pages of them; every task is an encoded GetTaskResponse."""

    def __init__(self, reads: Reads, encoded: EncodedTasks) -> None:
        self._reads = reads
        self._tasks = reads.store.tasks
        self._encoded = encoded

    async def get(self, task_id: TaskId) -> bytes:
        """Returns a task. Raises TaskNotFound."""
        kept = self._encoded.get(task_id, View.FULL)
        return await self._reads(self._get, task_id) if kept is None else kept

    async def page(
        self, wanted: TaskFilter, order: Order, after: Place | None, size: int, view: View
    ) -> list[tuple[Place, bytes]]:
        """Returns up to `size` tasks with their places, from behind the place `after`; fewer of long ones.

        It reads no further once they have more than PAGE_BYTES, which is enough to tell that more follow.
        """
        read = self._reads.scan if listing.scans(wanted, order) else self._reads
        return await read(self._page, wanted, order, after, size, view)

    def _get(self, task_id: TaskId) -> bytes:
        with self._encoded.reading() as reading:
            encoded = encode(self._tasks.get(task_id), View.FULL)
            reading.keep(task_id, View.FULL, encoded)
        return encoded

    def _page(
        self, wanted: TaskFilter, order: Order, after: Place | None, size: int, view: View
    ) -> list[tuple[Place, bytes]]:
        page: list[tuple[Place, bytes]] = []
        used = 0
        with self._encoded.reading() as reading, self._tasks.moment():
            places = self._tasks.places(wanted, order, after, size)
            for begin in range(0, len(places), _SOME):
                some = places[begin : begin + _SOME]
                task_ids = [task_id for _, task_id in some]
                kept = reading.kept(task_ids, view)
                if missing := [task_id for task_id in task_ids if task_id not in kept]:
                    for task_id, task in self._tasks.those(missing).items():
                        kept[task_id] = encode(task, view)
                        reading.keep(task_id, view, kept[task_id])
                page += ((place, kept[task_id]) for place, task_id in some)
                used += sum(map(len, kept.values()))
                if used > paging.PAGE_BYTES:
                    break
        return page


def encode(task: Task, view: View) -> bytes:
    """Returns a task as an encoded GetTaskResponse."""
    if view is View.SUMMARY:
        task = conversions.summary(task)
    return GetTaskResponse(task=conversions.from_task(task)).SerializeToString()
