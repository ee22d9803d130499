"""Calls of TaskListService."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from taskgrove import requests
from taskgrove.blocking.connected import Connected
from taskgrove.v1 import task_list_service_pb2 as task_lists_pb2
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.task_list_pb2 import TaskList
from taskgrove.v1.task_list_service_pb2_grpc import TaskListServiceStub
from taskgrove.v1.worktree_settings_pb2 import WorktreeSettings


class TaskListCalls(Connected):
    """What a client can do with task lists."""

    @functools.cached_property
    def _task_lists(self) -> TaskListServiceStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return TaskListServiceStub(self._channel)

    def create_task_list(
        self,
        title: str,
        *,
        working_dir: requests.ServerPath | None = None,
        defaults: RunConfig | None = None,
        worktree_settings: WorktreeSettings | None = None,
        request_id: str | None = None,
    ) -> TaskList:
        """Creates a task list for the git repository at `working_dir`, or for no repository."""
        request = requests.create_task_list(title, working_dir, defaults, worktree_settings, request_id)
        return self._call(self._task_lists.CreateTaskList, request).task_list

    def get_task_list(self, task_list_id: str) -> TaskList:
        """Returns a task list."""
        request = task_lists_pb2.GetTaskListRequest(task_list_id=task_list_id)
        return self._call(self._task_lists.GetTaskList, request).task_list

    def list_task_lists(
        self, *, working_dir: requests.ServerPath | None = None, page_size: int = 0
    ) -> Iterator[TaskList]:
        """Yields task lists, the newest first; asks for the next page when it is needed."""
        request = requests.list_task_lists(working_dir, page_size)
        for page in self._pages(self._task_lists.ListTaskLists, request):
            yield from page.task_lists

    def update_task_list(
        self,
        task_list_id: str,
        *,
        title: str | None = None,
        defaults: RunConfig | None = None,
        worktree_settings: WorktreeSettings | None = None,
        etag: str | None = None,
        request_id: str | None = None,
    ) -> TaskList:
        """Changes what is not None. New defaults and settings replace the old ones as a whole.

        Raises EtagMismatch when `etag` is not that of the list as it is.
        """
        request = requests.update_task_list(task_list_id, title, defaults, worktree_settings, etag, request_id)
        return self._call(self._task_lists.UpdateTaskList, request).task_list

    def delete_task_list(self, task_list_id: str, *, request_id: str | None = None) -> None:
        """Deletes a task list that has no queued or running task."""
        request = requests.delete_task_list(task_list_id, request_id)
        self._call(self._task_lists.DeleteTaskList, request)
