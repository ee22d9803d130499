"""Calls of TaskService."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from datetime import datetime

from taskgrove import requests, watching
from taskgrove.blocking.connected import Connected
from taskgrove.blocking.watch import Watch
from taskgrove.lines import Line
from taskgrove.log_part import LogPart
from taskgrove.v1 import task_pb2
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.failure_pb2 import FailureKind
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_pb2 import Subtask, Task, TaskView
from taskgrove.v1.task_service_pb2 import ListTasksRequest
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub


class TaskCalls(Connected):
    """What a client can do with tasks."""

    @functools.cached_property
    def _tasks(self) -> TaskServiceStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return TaskServiceStub(self._channel)

    def enqueue(
        self,
        task_list_id: str,
        title: str,
        *,
        description: str = "",
        subtasks: Sequence[str | Subtask] = (),
        overrides: RunConfig | None = None,
        subdirectory: requests.RepositoryPath = "",
        request_id: str | None = None,
    ) -> Task:
        """Adds a task to the queue. When this returns, the task is on the server's disk and will be run.

        `subdirectory` is where the agent starts, relative to the top of the repository. Raises DirectoryNotFound when
        the commit that the task would start from has no such directory.
        """
        request = requests.enqueue(
            task_list_id,
            title,
            description=description,
            subtasks=subtasks,
            overrides=overrides,
            subdirectory=subdirectory,
            request_id=request_id,
        )
        return self._call(self._tasks.Enqueue, request).task

    def continue_task(self, task_id: str, prompt: str, *, request_id: str | None = None) -> Task:
        """Takes a resting task back to the queue; its next run resumes the session of its last one."""
        return self._call(self._tasks.Continue, requests.continue_task(task_id, prompt, request_id)).task

    def cancel(self, task_id: str, *, request_id: str | None = None) -> tasks_pb2.CancelResponse:
        """Cancels a task; `outcome` tells what that did. No error if the task rests already."""
        return self._call(self._tasks.Cancel, requests.cancel(task_id, request_id))

    def retry_task(self, task_id: str, *, request_id: str | None = None) -> Task:
        """Takes a resting task back to the queue, to be done from the start: new session, new worktree, new branch.

        What it has done before and was not landed is saved to a ref.
        """
        return self._call(self._tasks.RetryTask, requests.retry_task(task_id, request_id)).task

    def delete_task(self, task_id: str, *, discard_worktree: bool = False, request_id: str | None = None) -> str | None:
        """Deletes a resting task with its runs and logs; returns the ref to which unlanded work was saved, if any.

        Raises WorktreePresent for a task that still has its worktree or sandbox, unless that is to be discarded.
        """
        response = self.delete_task_response(task_id, discard_worktree=discard_worktree, request_id=request_id)
        return response.saved_ref or None

    def delete_task_response(
        self, task_id: str, *, discard_worktree: bool = False, request_id: str | None = None
    ) -> tasks_pb2.DeleteTaskResponse:
        """As `delete_task`, but returns all that the server tells, such as what of the files could not be removed."""
        request = requests.delete_task(task_id, request_id, discard_worktree=discard_worktree)
        return self._call(self._tasks.DeleteTask, request, self._work_timeout)

    def get_task(self, task_id: str) -> Task:
        """Returns a task."""
        return self._call(self._tasks.GetTask, tasks_pb2.GetTaskRequest(task_id=task_id)).task

    def update_task(
        self,
        task_id: str,
        *,
        title: str | None = None,
        description: str | None = None,
        subtasks: Sequence[str | Subtask] | None = None,
        overrides: RunConfig | None = None,
        etag: str | None = None,
        request_id: str | None = None,
    ) -> Task:
        """Changes what is not None, of a task that waits in the queue. New overrides replace all old ones.

        Raises TaskNotQueued once the task has left the queue, and EtagMismatch when `etag` is not that of the task
        as it is.
        """
        request = requests.update_task(
            task_id,
            title=title,
            description=description,
            subtasks=subtasks,
            overrides=overrides,
            etag=etag,
            request_id=request_id,
        )
        return self._call(self._tasks.UpdateTask, request).task

    def update_subtask(
        self, task_id: str, number: int, *, completed: bool, etag: str | None = None, request_id: str | None = None
    ) -> Task:
        """Ticks a subtask, counted from 1, or takes the tick away; in any state of the task."""
        request = requests.update_subtask(task_id, number, completed=completed, etag=etag, request_id=request_id)
        return self._call(self._tasks.UpdateSubtask, request).task

    def list_tasks(
        self,
        *,
        task_list_id: str | None = None,
        task_list_ids: Sequence[str] = (),
        states: Sequence[Task.State] = (),
        failure_kinds: Sequence[FailureKind] = (),
        title_contains: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        finished_before: datetime | None = None,
        order: requests.TaskOrder = ListTasksRequest.ORDER_UNSPECIFIED,
        page_size: int = 0,
        view: TaskView = task_pb2.TASK_VIEW_UNSPECIFIED,
    ) -> Iterator[Task]:
        """Yields tasks, the newest first unless told otherwise; asks for the next page when it is needed.

        What is empty or None asks for nothing; `task_list_id` and `task_list_ids` ask for tasks of all these lists. The
        times must be aware. TASK_VIEW_SUMMARY leaves out the long texts, which a table does not show.
        """
        request = requests.list_tasks(
            task_list_id=task_list_id,
            task_list_ids=task_list_ids,
            states=states,
            failure_kinds=failure_kinds,
            title_contains=title_contains,
            created_after=created_after,
            created_before=created_before,
            finished_before=finished_before,
            order=order,
            page_size=page_size,
            view=view,
        )
        for page in self._pages(self._tasks.ListTasks, request):
            yield from page.tasks

    def list_runs(self, task_id: str, *, page_size: int = 0) -> Iterator[Run]:
        """Yields the runs of a task, the first one first; asks for the next page when it is needed."""
        request = tasks_pb2.ListRunsRequest(task_id=task_id, page_size=page_size)
        for page in self._pages(self._tasks.ListRuns, request):
            yield from page.runs

    def read_lines(
        self, task_id: str, *, after_line: int = 0, last_lines: int | None = None, max_lines: int | None = None
    ) -> Iterator[Line]:
        """Yields lines as they are now, and ends: those after `after_line`, or the last so many.

        At most `max_lines`; None means all that there are.
        """
        part = LogPart(task_id, after_line=after_line, last_lines=last_lines, max_lines=max_lines)
        for message in self._stream(self._tasks.ReadLines, part.request):
            yield from part.receive(message)
        part.check()

    def watch(self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0) -> Watch:
        """Follows a task until it rests: every line after `after_line`, once and in order, and every change.

        Goes on by itself where a lost connection left off. Raises ServerUnavailable when that has failed for
        `reconnect_timeout` seconds; None means to try for ever.
        """
        resume = watching.Resume(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout)
        return Watch(self.target, functools.partial(self._open, self._tasks.WatchTask), resume)

    def lines(self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0) -> Iterator[Line]:
        """Yields a task's lines until it rests; see `watch`."""
        with self.watch(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout) as watch:
            for event in watch:
                if isinstance(event, Line):
                    yield event

    def wait(self, task_id: str, *, reconnect_timeout: float | None = 60.0) -> Task:
        """Waits until a task rests, and returns it; see `watch`."""
        # Starts at the newest line that is known, to be spared most of the log.
        after_line = self.get_task(task_id).last_line
        with self.watch(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout) as watch:
            for event in watch:
                if isinstance(event, watching.Rested):
                    return event.task
        raise AssertionError("A watch that nobody closed ends with Rested.")
