"""What requests to TaskListService must be."""

from __future__ import annotations

from collections.abc import Collection

from taskgrove.v1 import task_list_service_pb2 as messages
from taskgrove_server.api.validation import worktrees
from taskgrove_server.api.validation.checks import Checks


def create_task_list(request: messages.CreateTaskListRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.title("title", request.title, 200)
        if request.working_dir:
            checks.path("working_dir", request.working_dir, absolute=True)
        checks.config("defaults", request.defaults, agents)
        worktrees.settings(checks, request.worktree_settings, has_repository=bool(request.working_dir))
        checks.request_id(request.request_id)


def list_task_lists(request: messages.ListTaskListsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.page_size(request.page_size)
        if request.working_dir:
            checks.path("working_dir", request.working_dir, absolute=True)


def update_task_list(request: messages.UpdateTaskListRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_list_id", request.task_list_id)
        if request.HasField("title"):
            checks.title("title", request.title, 200)
        checks.config("defaults", request.defaults, agents)
        # Whether the list has a repository, only the store knows.
        worktrees.settings(checks, request.worktree_settings, has_repository=True)
        checks.etag(request.etag)
        checks.request_id(request.request_id)
        if not any(request.HasField(field) for field in ("title", "defaults", "worktree_settings")):
            checks.wrong("title", "is unset, and so is all else: there is nothing to change")


def delete_task_list(request: messages.DeleteTaskListRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_list_id", request.task_list_id)
        checks.request_id(request.request_id)
