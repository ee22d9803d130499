"""The blocking client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc

from taskgrove import connection, errors, requests, watching
from taskgrove.v1 import task_list_service_pb2 as task_lists_pb2
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_list_pb2 import TaskList
from taskgrove.v1.task_list_service_pb2_grpc import TaskListServiceStub
from taskgrove.v1.task_pb2 import Subtask, Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

#: Lets the thread that iterates a stream do the reading, where gRPC would start one of its own; 1.7 times as many
#: lines a second. grpc.experimental.ChannelOptions names it.
SINGLE_THREADED = ("SingleThreadedUnaryStream", 1)

Request = TypeVar("Request")
Response = TypeVar("Response")
PagedRequest = TypeVar("PagedRequest", bound=requests.Paged)
PageResponse = TypeVar("PageResponse", bound=requests.Page)


class Client:
    """Talks to one server, over one connection that all threads may share.

    `target` is an address in gRPC's notation, such as "unix:/run/user/1000/taskgroved.sock" or "localhost:50051".
    None means $TASKGROVE_TARGET, else the Unix socket in the default data directory. `token` None means
    $TASKGROVE_TOKEN, else the token file of the default data directory for a TCP target on this machine.
    `timeout` bounds each call but those that watch, in seconds. Every method raises a TaskgroveError where the
    call fails, and repeats a call that it can safely repeat when the server is unavailable for a moment.
    """

    def __init__(self, target: str | None = None, *, token: str | None = None, timeout: float = 30.0) -> None:
        resolved = connection.resolve(target, token)
        self.target = resolved.target
        self._metadata = resolved.metadata
        self._timeout = timeout
        self._closed = False
        self._channel = grpc.insecure_channel(resolved.target, options=[*connection.CHANNEL_OPTIONS, SINGLE_THREADED])
        self._tasks = TaskServiceStub(self._channel)
        self._task_lists = TaskListServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is under way, and the connection."""
        self._closed = True
        self._channel.close()

    def create_task_list(
        self,
        title: str,
        *,
        working_dir: requests.ServerPath | None = None,
        defaults: RunConfig | None = None,
        request_id: str | None = None,
    ) -> TaskList:
        """Creates a task list for the git repository at `working_dir`, or for no repository."""
        request = requests.create_task_list(title, working_dir, defaults, request_id)
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
        self, task_list_id: str, *, title: str | None = None, defaults: RunConfig | None = None
    ) -> TaskList:
        """Changes what is not None. New defaults replace the old ones as a whole."""
        request = requests.update_task_list(task_list_id, title, defaults)
        return self._call(self._task_lists.UpdateTaskList, request).task_list

    def delete_task_list(self, task_list_id: str) -> None:
        """Deletes a task list that has no queued or running task."""
        request = task_lists_pb2.DeleteTaskListRequest(task_list_id=task_list_id)
        self._call(self._task_lists.DeleteTaskList, request)

    def enqueue(
        self,
        task_list_id: str,
        title: str,
        *,
        description: str = "",
        subtasks: Sequence[str | Subtask] = (),
        overrides: RunConfig | None = None,
        request_id: str | None = None,
    ) -> Task:
        """Adds a task to the queue. When this returns, the task is on the server's disk and will be run."""
        request = requests.enqueue(
            task_list_id,
            title,
            description=description,
            subtasks=subtasks,
            overrides=overrides,
            request_id=request_id,
        )
        return self._call(self._tasks.Enqueue, request).task

    def continue_task(self, task_id: str, prompt: str, *, request_id: str | None = None) -> Task:
        """Takes a resting task back to the queue; its next run resumes the session of its last one."""
        return self._call(self._tasks.Continue, requests.continue_task(task_id, prompt, request_id)).task

    def cancel(self, task_id: str, *, request_id: str | None = None) -> tasks_pb2.CancelResponse:
        """Cancels a task; `outcome` tells what that did. No error if the task rests already."""
        return self._call(self._tasks.Cancel, requests.cancel(task_id, request_id))

    def get_task(self, task_id: str) -> Task:
        """Returns a task."""
        return self._call(self._tasks.GetTask, tasks_pb2.GetTaskRequest(task_id=task_id)).task

    def list_tasks(
        self, *, task_list_id: str | None = None, states: Sequence[Task.State] = (), page_size: int = 0
    ) -> Iterator[Task]:
        """Yields tasks, the newest first; asks for the next page when it is needed."""
        for page in self._pages(self._tasks.ListTasks, requests.list_tasks(task_list_id, states, page_size)):
            yield from page.tasks

    def list_runs(self, task_id: str, *, page_size: int = 0) -> Iterator[Run]:
        """Yields the runs of a task, the first one first; asks for the next page when it is needed."""
        request = tasks_pb2.ListRunsRequest(task_id=task_id, page_size=page_size)
        for page in self._pages(self._tasks.ListRuns, request):
            yield from page.runs

    def watch(self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0) -> Watch:
        """Follows a task until it rests: every line after `after_line`, once and in order, and every change.

        Goes on by itself where a lost connection left off. Raises ServerUnavailable when that has failed for
        `reconnect_timeout` seconds; None means to try for ever.
        """
        resume = watching.Resume(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout)
        return Watch(self.target, self._open_stream, resume)

    def lines(
        self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0
    ) -> Iterator[watching.Line]:
        """Yields a task's lines until it rests; see `watch`."""
        with self.watch(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout) as watch:
            for event in watch:
                if isinstance(event, watching.Line):
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

    def _call(self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        self._check_open()
        try:
            return method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error

    def _pages(
        self, method: grpc.UnaryUnaryMultiCallable[PagedRequest, PageResponse], request: PagedRequest
    ) -> Iterator[PageResponse]:
        while True:
            page = self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _open_stream(self, request: tasks_pb2.WatchTaskRequest) -> _Stream:
        self._check_open()
        return self._tasks.WatchTask(request, metadata=self._metadata)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")


class _Stream(Protocol):
    """A WatchTask call under way."""

    def __iter__(self) -> Iterator[tasks_pb2.WatchTaskResponse]: ...
    def cancel(self) -> object: ...


class Watch:
    """Iterates the events of one task, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on after `last_line`. HTTP/2 keepalive
    finds a server that is gone without a word, so no thread is needed to watch over the stream.
    """

    def __init__(
        self,
        target: str,
        open_stream: Callable[[tasks_pb2.WatchTaskRequest], _Stream],
        resume: watching.Resume,
    ) -> None:
        self._target = target
        self._open_stream = open_stream
        self._resume = resume
        self._stream: _Stream | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def task(self) -> Task | None:
        """The task as it was last shown; None before the first event."""
        return self._resume.task

    @property
    def last_line(self) -> int:
        """The number of the last line that was shown: where another watch would go on."""
        return self._resume.last_line

    def close(self) -> None:
        """Ends the iteration; another thread may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    def __iter__(self) -> Iterator[watching.Event]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._resume.request())
            try:
                if self._closed.is_set():  # After `close` looked for a stream to cancel.
                    return
                for message in stream:
                    yield from self._resume.receive(message)
                    if self._resume.rested:
                        return
            except grpc.RpcError as error:
                failure = errors.from_rpc_error(error, self._target)
            finally:
                stream.cancel()
            if not self._closed.is_set():
                self._closed.wait(self._resume.lost(failure, time.monotonic()))
