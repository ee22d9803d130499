"""TaskListService: see task_list_service.proto for what each method promises."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from taskgrove.v1 import task_list_service_pb2 as messages
from taskgrove.v1 import task_list_service_pb2_grpc
from taskgrove.v1.worktree_settings_pb2 import WorktreeSettings
from taskgrove_server.api import conversions, paging, worktree_conversions
from taskgrove_server.api.directories import Directories
from taskgrove_server.api.front import Reads, check_output_schema, request_key, stored
from taskgrove_server.api.validation import task_lists as valid
from taskgrove_server.api.validation import worktrees
from taskgrove_server.api.validation.checks import Checks
from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.ids import TaskListId
from taskgrove_server.domain.task_list import TaskList
from taskgrove_server.store.store import Store

log = logging.getLogger(__name__)


class TaskListServicer(task_list_service_pb2_grpc.TaskListServiceServicer):
    """Validates, asks the store, converts."""

    def __init__(self, store: Store, reads: Reads, directories: Directories, agents: Collection[str]) -> None:
        self._store = store
        self._reads = reads
        self._directories = directories
        self._agents = agents

    async def CreateTaskList(
        self, request: messages.CreateTaskListRequest, context: Any
    ) -> messages.CreateTaskListResponse:
        """Creates a task list."""
        valid.create_task_list(request, self._agents)
        key = request_key("CreateTaskList", request)
        if known := await self._reads.earlier(key):
            created = await self._reads(self._store.task_lists.get, TaskListId(known))
            return messages.CreateTaskListResponse(task_list=conversions.from_task_list(created))
        await self._directories.check_agent_path(request.defaults)
        await check_output_schema("defaults", request.defaults)
        working_dir = None
        if request.working_dir:
            working_dir = await self._directories.repository(request.working_dir)
            await self._check_settings(request.worktree_settings, working_dir)
        now = clock.now()
        task_list = TaskList(
            id=ids.new_task_list_id(),
            title=request.title,
            working_dir=working_dir,
            defaults=conversions.to_config(request.defaults),
            worktree_settings=worktree_conversions.to_settings(request.worktree_settings),
            create_time=now,
            update_time=now,
        )
        created = await stored(self._store.task_lists.create(task_list, key))
        return messages.CreateTaskListResponse(task_list=conversions.from_task_list(created))

    async def GetTaskList(self, request: messages.GetTaskListRequest, context: Any) -> messages.GetTaskListResponse:
        """Returns a task list."""
        with Checks() as checks:
            checks.id("task_list_id", request.task_list_id)
        task_list = await self._reads(self._store.task_lists.get, TaskListId(request.task_list_id))
        return messages.GetTaskListResponse(task_list=conversions.from_task_list(task_list))

    async def ListTaskLists(
        self, request: messages.ListTaskListsRequest, context: Any
    ) -> messages.ListTaskListsResponse:
        """Lists task lists, the newest first."""
        valid.list_task_lists(request)
        (before,) = paging.position(request, int) or (None,)
        working_dir = None
        if request.working_dir:
            working_dir = await self._directories.canonical(request.working_dir)
        rows = await self._reads(self._store.task_lists.page, before, paging.size(request.page_size) + 1, working_dir)
        page, token = paging.cut(request, (((at,), row) for at, row in rows), conversions.from_task_list)
        return messages.ListTaskListsResponse(task_lists=page, next_page_token=token)

    async def UpdateTaskList(
        self, request: messages.UpdateTaskListRequest, context: Any
    ) -> messages.UpdateTaskListResponse:
        """Changes the title or the defaults of a task list."""
        valid.update_task_list(request, self._agents)
        key = request_key("UpdateTaskList", request)
        if known := await self._reads.earlier(key):
            updated = await self._reads(self._store.task_lists.get, TaskListId(known))
            return messages.UpdateTaskListResponse(task_list=conversions.from_task_list(updated))
        await self._directories.check_agent_path(request.defaults)
        await check_output_schema("defaults", request.defaults)
        task_list = await self._reads(self._store.task_lists.get, TaskListId(request.task_list_id))
        if request.HasField("worktree_settings"):
            await self._check_settings(request.worktree_settings, task_list.working_dir)
        updated = await stored(
            self._store.task_lists.update(
                task_list.id,
                request.etag,
                title=request.title if request.HasField("title") else None,
                defaults=conversions.to_config(request.defaults) if request.HasField("defaults") else None,
                worktree_settings=worktree_conversions.to_settings(request.worktree_settings)
                if request.HasField("worktree_settings")
                else None,
                request=key,
            )
        )
        return messages.UpdateTaskListResponse(task_list=conversions.from_task_list(updated))

    async def DeleteTaskList(
        self, request: messages.DeleteTaskListRequest, context: Any
    ) -> messages.DeleteTaskListResponse:
        """Deletes a task list without queued or running tasks."""
        valid.delete_task_list(request)
        key = request_key("DeleteTaskList", request)
        await stored(self._store.task_lists.delete(TaskListId(request.task_list_id), key))
        log.info("Task list %s was deleted", request.task_list_id)
        return messages.DeleteTaskListResponse()

    async def _check_settings(self, settings: WorktreeSettings, working_dir: str | None) -> None:
        with Checks() as checks:
            worktrees.settings(checks, settings, has_repository=working_dir is not None)
        if working_dir is not None:
            await self._directories.check_branches(working_dir, settings.base_branch, settings.branch_prefix)
