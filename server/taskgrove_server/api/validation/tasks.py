"""What requests to TaskService must be."""

from __future__ import annotations

from collections.abc import Collection

from taskgrove.v1 import failure_pb2, task_pb2
from taskgrove.v1 import task_service_pb2 as messages
from taskgrove_server.api.validation.checks import Checks


def enqueue(request: messages.EnqueueRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_list_id", request.task_list_id)
        checks.title("title", request.title, 500)
        checks.text("description", request.description)
        checks.subtasks(request.subtasks)
        checks.config("overrides", request.overrides, agents)
        _subdirectory(checks, request.subdirectory)
        checks.request_id(request.request_id)


def continue_(request: messages.ContinueRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if not request.prompt.strip():
            checks.wrong("prompt", "must not be empty")
        checks.text("prompt", request.prompt)
        checks.request_id(request.request_id)


def cancel(request: messages.CancelRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.request_id(request.request_id)


def retry(request: messages.RetryTaskRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.request_id(request.request_id)


def watch(request: messages.WatchTaskRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.not_negative("after_line", request.after_line)
        checks.heartbeat(request)


def list_tasks(request: messages.ListTasksRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.page_size(request.page_size)
        if request.task_list_id:
            checks.id("task_list_id", request.task_list_id)
        checks.task_list_ids(request.task_list_ids)
        checks.known("states", request.states, task_pb2.Task.State)
        checks.known("failure_kinds", request.failure_kinds, failure_pb2.FailureKind)
        if request.order:
            checks.known("order", [request.order], messages.ListTasksRequest.Order)
        if request.view:
            checks.known("view", [request.view], task_pb2.TaskView)
        if request.title_contains:
            checks.title("title_contains", request.title_contains, 200)
        for field in ("created_after", "created_before", "finished_before"):
            if request.HasField(field):
                checks.time(field, getattr(request, field))


def list_runs(request: messages.ListRunsRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.page_size(request.page_size)


def update_task(request: messages.UpdateTaskRequest, agents: Collection[str]) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if request.HasField("title"):
            checks.title("title", request.title, 500)
        checks.text("description", request.description)
        checks.subtasks(request.subtasks.subtasks, "subtasks.subtasks")
        checks.config("overrides", request.overrides, agents)
        checks.etag(request.etag)
        checks.request_id(request.request_id)
        if not any(request.HasField(field) for field in ("title", "description", "subtasks", "overrides")):
            checks.wrong("title", "is unset, and so is all else: there is nothing to change")


def update_subtask(request: messages.UpdateSubtaskRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        if request.number < 1:
            checks.wrong("number", "must be at least 1")
        checks.etag(request.etag)
        checks.request_id(request.request_id)


def delete_task(request: messages.DeleteTaskRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.request_id(request.request_id)


def read_lines(request: messages.ReadLinesRequest) -> None:
    """Raises InvalidRequest for what the request alone shows to be wrong."""
    with Checks() as checks:
        checks.id("task_id", request.task_id)
        checks.not_negative("after_line", request.after_line)
        if request.WhichOneof("start") == "last_lines" and request.last_lines < 1:
            checks.wrong("last_lines", "must be at least 1")
        checks.not_negative("max_lines", request.max_lines)


def _subdirectory(checks: Checks, value: str) -> None:
    """Wants a path that stays in a repository, and out of what is git's own there."""
    field = "subdirectory"
    if value.startswith("/"):
        checks.wrong(field, "must be relative to the top of the repository")
    elif any(part.casefold() == ".git" for part in value.split("/")):
        checks.wrong(field, "must not lie in a .git directory")
    else:
        checks.path(field, value, absolute=False)
