"""TaskService: see task_service.proto for what each method promises."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Collection
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from taskgrove.v1 import task_service_pb2 as messages
from taskgrove.v1 import task_service_pb2_grpc
from taskgrove_server.api import conversions, paging
from taskgrove_server.api.directories import Directories
from taskgrove_server.api.front import Reads, check_output_schema, request_key, stored
from taskgrove_server.api.offloading import Offloading
from taskgrove_server.api.reading import Reading
from taskgrove_server.api.repeating import Repeats, answering
from taskgrove_server.api.task_reads import TaskReads
from taskgrove_server.api.validation import tasks as valid
from taskgrove_server.api.validation.checks import Checks
from taskgrove_server.api.watching import Watching
from taskgrove_server.domain import clock, config, errors, ids
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.runner.clearing import Clearing, Deleted
from taskgrove_server.store.requests import Recalled, RequestKey
from taskgrove_server.store.tasks import Cancelled

M = TypeVar("M", bound=Message)

_OUTCOMES = {
    Cancelled.AT_ONCE: messages.CancelResponse.OUTCOME_CANCELLED,
    Cancelled.STOPPING: messages.CancelResponse.OUTCOME_STOPPING,
    Cancelled.TOO_LATE: messages.CancelResponse.OUTCOME_TOO_LATE,
    Cancelled.ALREADY_RESTED: messages.CancelResponse.OUTCOME_ALREADY_RESTED,
}


class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """Validates, asks the store, converts. What is stored moves the rest."""

    def __init__(
        self,
        reads: Reads,
        task_reads: TaskReads,
        watching: Watching,
        reading: Reading,
        offloading: Offloading,
        repeats: Repeats,
        clearing: Clearing,
        directories: Directories,
        agents: Collection[str],
    ) -> None:
        self._store = reads.store
        self._reads = reads
        self._task_reads = task_reads
        self._watching = watching
        self._reading = reading
        self._offload = offloading
        self._repeats = repeats
        self._clearing = clearing
        self._directories = directories
        self._agents = agents

    async def Enqueue(self, request: messages.EnqueueRequest, context: Any) -> messages.EnqueueResponse:
        """Adds a task to the queue."""
        valid.enqueue(request, self._agents)
        key = request_key("Enqueue", request)
        task_list_id = TaskListId(request.task_list_id)
        overrides = conversions.to_config(request.overrides)
        subdirectory = conversions.to_subdirectory(request.subdirectory)
        if subdirectory or overrides.agent_path or overrides.output_schema:
            # A repeat does not depend any more on what is looked at outside of the store.
            if repeated := await self._enqueued_earlier(key):
                return repeated
            await self._directories.check_agent_path(request.overrides)
            await check_output_schema("overrides", request.overrides)
            if subdirectory:
                task_list = await self._reads(self._store.task_lists.get, task_list_id)
                await self._check_subdirectory(subdirectory, task_list)
        now = clock.now()
        task = Task(
            id=ids.new_task_id(),
            task_list_id=task_list_id,
            title=request.title,
            description=request.description,
            subtasks=conversions.to_subtasks(list(request.subtasks)),
            overrides=overrides,
            subdirectory=subdirectory,
            state=TaskState.QUEUED,
            create_time=now,
            update_time=now,
        )
        check = functools.partial(_check_command, overrides)
        try:
            enqueued = await stored(self._store.tasks.enqueue(task, key, check))
        except errors.StoreUnavailable:
            # It may have been stored all the same, now or by an earlier call.
            if repeated := await self._enqueued_earlier(key):
                return repeated
            raise
        return messages.EnqueueResponse(task=conversions.from_task(enqueued))

    async def Continue(self, request: messages.ContinueRequest, context: Any) -> messages.ContinueResponse:
        """Takes a resting task back to the queue."""
        valid.continue_(request)
        key = request_key("Continue", request)
        task = await stored(self._store.tasks.continue_(TaskId(request.task_id), request.prompt, key))
        return messages.ContinueResponse(task=conversions.from_task(task))

    async def Cancel(self, request: messages.CancelRequest, context: Any) -> messages.CancelResponse:
        """Cancels a task."""
        valid.cancel(request)
        key = request_key("Cancel", request)
        task, outcome = await stored(self._store.tasks.cancel(TaskId(request.task_id), key))
        return messages.CancelResponse(task=conversions.from_task(task), outcome=_OUTCOMES[outcome])

    def WatchTask(self, request: messages.WatchTaskRequest, context: Any) -> AsyncIterator[messages.WatchTaskResponse]:
        """Streams a task's lines and changes until it rests."""
        valid.watch(request)
        # The stub's type knows nothing of messages that are encoded already; the interceptor passes them on.
        return cast("AsyncIterator[messages.WatchTaskResponse]", self._watching.watch(request))

    async def GetTask(self, request: messages.GetTaskRequest, context: Any) -> messages.GetTaskResponse:
        """Returns a task."""
        with Checks() as checks:
            checks.id("task_id", request.task_id)
        return _encoded(messages.GetTaskResponse, await self._task_reads.get(TaskId(request.task_id)))

    async def ListTasks(self, request: messages.ListTasksRequest, context: Any) -> messages.ListTasksResponse:
        """Lists tasks, the newest first."""
        valid.list_tasks(request)
        order = conversions.to_order(request.order)
        found = await self._task_reads.page(
            conversions.to_filter(request),
            order,
            paging.position(request, *order.place),
            paging.size(request.page_size) + 1,
            conversions.to_view(request.view),
        )
        page, token = paging.cut_encoded(request, found, len)
        rest = messages.ListTasksResponse(next_page_token=token)
        return _encoded(messages.ListTasksResponse, *page, rest.SerializeToString())

    async def ListRuns(self, request: messages.ListRunsRequest, context: Any) -> messages.ListRunsResponse:
        """Lists the runs of a task, the first one first."""
        valid.list_runs(request)
        (after,) = paging.position(request, int) or (0,)
        task = await self._reads(self._store.tasks.get, TaskId(request.task_id))
        runs = await self._reads(self._store.runs.page, task.id, after, paging.size(request.page_size) + 1)
        page, token = paging.cut(request, (((run.number,), run) for run in runs), conversions.from_run)
        return messages.ListRunsResponse(runs=page, next_page_token=token)

    async def UpdateTask(self, request: messages.UpdateTaskRequest, context: Any) -> messages.UpdateTaskResponse:
        """Changes what the agent will be told, of a task that waits in the queue."""
        valid.update_task(request, self._agents)
        key = request_key("UpdateTask", request)
        if known := await self._reads.earlier(key):
            task = await self._reads(self._store.tasks.get, TaskId(known))
            return messages.UpdateTaskResponse(task=conversions.from_task(task))
        await self._directories.check_agent_path(request.overrides)
        await check_output_schema("overrides", request.overrides)
        task = await self._reads(self._store.tasks.get, TaskId(request.task_id))
        edit = conversions.to_edit(request)
        if edit.overrides is not None:
            try:
                task_list = await self._reads(self._store.task_lists.get, task.task_list_id)
            except errors.TaskListNotFound as error:
                raise errors.TaskListDeleted(task.id, task.task_list_id) from error
            _check_command(edit.overrides, task_list)
        updated = await stored(self._store.tasks.update(task.id, edit, request.etag, key))
        return messages.UpdateTaskResponse(task=conversions.from_task(updated))

    async def UpdateSubtask(
        self, request: messages.UpdateSubtaskRequest, context: Any
    ) -> messages.UpdateSubtaskResponse:
        """Ticks a subtask, or takes the tick away."""
        valid.update_subtask(request)
        change = self._store.tasks.tick(
            TaskId(request.task_id),
            request.number,
            request.etag,
            completed=request.completed,
            request=request_key("UpdateSubtask", request),
        )
        return messages.UpdateSubtaskResponse(task=conversions.from_task(await stored(change)))

    def ReadLines(self, request: messages.ReadLinesRequest, context: Any) -> AsyncIterator[messages.ReadLinesResponse]:
        """Streams a part of a task's lines as they are now, and ends."""
        valid.read_lines(request)
        return self._reading.read(request)

    async def RetryTask(self, request: messages.RetryTaskRequest, context: Any) -> messages.RetryTaskResponse:
        """Takes a resting task back to the queue, to be done from the start."""
        valid.retry(request)
        task = await stored(self._store.tasks.retry(TaskId(request.task_id), request_key("RetryTask", request)))
        return messages.RetryTaskResponse(task=conversions.from_task(task))

    async def DeleteTask(self, request: messages.DeleteTaskRequest, context: Any) -> messages.DeleteTaskResponse:
        """Deletes a resting task, with its runs and logs."""
        valid.delete_task(request)
        key = request_key("DeleteTask", request)

        async def delete() -> messages.DeleteTaskResponse:
            deleted = await self._offload.finish(
                self._clearing.delete,
                TaskId(request.task_id),
                discard_worktree=request.discard_worktree,
                answering=answering(key, _told),
            )
            return _told(deleted)

        async def again(known: Recalled) -> messages.DeleteTaskResponse:
            return messages.DeleteTaskResponse.FromString(known.answer or b"")

        return await self._repeats.once(key, delete, again)

    async def _enqueued_earlier(self, key: RequestKey | None) -> messages.EnqueueResponse | None:
        """Returns what a call is answered that was made before, None for one that is new."""
        known = await self._reads.earlier(key)
        return _encoded(messages.EnqueueResponse, await self._task_reads.get(TaskId(known))) if known else None

    async def _check_subdirectory(self, subdirectory: str, task_list: TaskList) -> None:
        """Raises an error unless a task of the list that starts now has the directory."""
        if task_list.working_dir is None:
            raise errors.InvalidRequest(("subdirectory", "must be empty for a list without a working_dir"))
        await self._directories.check_subdirectory(subdirectory, task_list, task_list.working_dir)


def _encoded(_response: type[M], *parts: bytes) -> M:
    """Returns a response whose parts are encoded already. The interceptor passes it on, and no type knows of it."""
    return cast("M", b"".join(parts))


def _told(deleted: Deleted) -> messages.DeleteTaskResponse:
    return messages.DeleteTaskResponse(saved_ref=deleted.saved_ref or "", leftover_path=deleted.leftover_path or "")


def _check_command(overrides: config.RunConfig, task_list: TaskList) -> None:
    """Raises InvalidRequest for a task of the command agent that would have no command."""
    resolved = config.resolve(overrides, task_list.defaults)
    if resolved.agent == "command" and resolved.command is None:
        raise errors.InvalidRequest(("overrides.command", "must be set, here or in the list, for the command agent"))
