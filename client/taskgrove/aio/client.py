"""The asyncio client, put together from its parts."""

from __future__ import annotations

from taskgrove.aio.task_lists import TaskListCalls
from taskgrove.aio.tasks import TaskCalls


class AsyncClient(TaskCalls, TaskListCalls):
    """Talks to one server, from the event loop that it was made in. Takes what `taskgrove.Client` takes."""
