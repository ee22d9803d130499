"""The asyncio client, put together from its parts."""

from __future__ import annotations

from taskgrove.aio.events import EventCalls
from taskgrove.aio.servers import ServerCalls
from taskgrove.aio.task_lists import TaskListCalls
from taskgrove.aio.tasks import TaskCalls
from taskgrove.aio.worktrees import WorktreeCalls


class AsyncClient(TaskCalls, TaskListCalls, WorktreeCalls, EventCalls, ServerCalls):
    """Talks to one server, from the event loop that it was made in. Takes what `taskgrove.Client` takes."""
