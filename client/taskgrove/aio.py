"""The asyncio client: the methods of `taskgrove.Client` as coroutines and asynchronous iterators."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc
from grpc import aio

from taskgrove import connection, errors, requests, watching
from taskgrove.v1 import task_list_service_pb2 as task_lists_pb2
from taskgrove.v1 import task_service_pb2 as tasks_pb2
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_list_pb2 import TaskList
from taskgrove.v1.task_list_service_pb2_grpc import TaskListServiceStub
from taskgrove.v1.task_pb2 import Subtask, Task
from taskgrove.v1.task_service_pb2_grpc import TaskServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")
PagedRequest = TypeVar("PagedRequest", bound=requests.Paged)
PageResponse = TypeVar("PageResponse", bound=requests.Page)

_Stream = aio.UnaryStreamCall[tasks_pb2.WatchTaskRequest, tasks_pb2.WatchTaskResponse]


class AsyncClient:
    """Talks to one server, from the event loop that it was made in. Takes what `taskgrove.Client` takes."""

    def __init__(self, target: str | None = None, *, token: str | None = None, timeout: float = 30.0) -> None:
        resolved = connection.resolve(target, token)
        self.target = resolved.target
        self._metadata = resolved.metadata
        self._timeout = timeout
        self._closed = False
        self._channel = aio.insecure_channel(resolved.target, options=connection.CHANNEL_OPTIONS)
        self._tasks = TaskServiceStub(self._channel)
        self._task_lists = TaskListServiceStub(self._channel)
        self._streams: weakref.WeakSet[_Stream] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every call that is under way, and the connection."""
        self._closed = True
        # A closed aio channel leaves the readers of its streams waiting for ever.
        for stream in list(self._streams):
            stream.cancel()
        await self._channel.close()

    async def create_task_list(
        self,
        title: str,
        *,
        working_dir: requests.ServerPath | None = None,
        defaults: RunConfig | None = None,
        request_id: str | None = None,
    ) -> TaskList:
        """Creates a task list for the git repository at `working_dir`, or for no repository."""
        request = requests.create_task_list(title, working_dir, defaults, request_id)
        return (await self._call(self._task_lists.CreateTaskList, request)).task_list

    async def get_task_list(self, task_list_id: str) -> TaskList:
        """Returns a task list."""
        request = task_lists_pb2.GetTaskListRequest(task_list_id=task_list_id)
        return (await self._call(self._task_lists.GetTaskList, request)).task_list

    async def list_task_lists(
        self, *, working_dir: requests.ServerPath | None = None, page_size: int = 0
    ) -> AsyncIterator[TaskList]:
        """Yields task lists, the newest first; asks for the next page when it is needed."""
        request = requests.list_task_lists(working_dir, page_size)
        async for page in self._pages(self._task_lists.ListTaskLists, request):
            for task_list in page.task_lists:
                yield task_list

    async def update_task_list(
        self, task_list_id: str, *, title: str | None = None, defaults: RunConfig | None = None
    ) -> TaskList:
        """Changes what is not None. New defaults replace the old ones as a whole."""
        request = requests.update_task_list(task_list_id, title, defaults)
        return (await self._call(self._task_lists.UpdateTaskList, request)).task_list

    async def delete_task_list(self, task_list_id: str) -> None:
        """Deletes a task list that has no queued or running task."""
        request = task_lists_pb2.DeleteTaskListRequest(task_list_id=task_list_id)
        await self._call(self._task_lists.DeleteTaskList, request)

    async def enqueue(
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
        return (await self._call(self._tasks.Enqueue, request)).task

    async def continue_task(self, task_id: str, prompt: str, *, request_id: str | None = None) -> Task:
        """Takes a resting task back to the queue; its next run resumes the session of its last one."""
        return (await self._call(self._tasks.Continue, requests.continue_task(task_id, prompt, request_id))).task

    async def cancel(self, task_id: str, *, request_id: str | None = None) -> tasks_pb2.CancelResponse:
        """Cancels a task; `outcome` tells what that did. No error if the task rests already."""
        return await self._call(self._tasks.Cancel, requests.cancel(task_id, request_id))

    async def get_task(self, task_id: str) -> Task:
        """Returns a task."""
        return (await self._call(self._tasks.GetTask, tasks_pb2.GetTaskRequest(task_id=task_id))).task

    async def list_tasks(
        self, *, task_list_id: str | None = None, states: Sequence[Task.State] = (), page_size: int = 0
    ) -> AsyncIterator[Task]:
        """Yields tasks, the newest first; asks for the next page when it is needed."""
        request = requests.list_tasks(task_list_id, states, page_size)
        async for page in self._pages(self._tasks.ListTasks, request):
            for task in page.tasks:
                yield task

    async def list_runs(self, task_id: str, *, page_size: int = 0) -> AsyncIterator[Run]:
        """Yields the runs of a task, the first one first; asks for the next page when it is needed."""
        request = tasks_pb2.ListRunsRequest(task_id=task_id, page_size=page_size)
        async for page in self._pages(self._tasks.ListRuns, request):
            for run in page.runs:
                yield run

    def watch(self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0) -> AsyncWatch:
        """Follows a task until it rests; see `taskgrove.Client.watch`."""
        resume = watching.Resume(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout)
        return AsyncWatch(self.target, self._open_stream, resume)

    async def lines(
        self, task_id: str, *, after_line: int = 0, reconnect_timeout: float | None = 60.0
    ) -> AsyncIterator[watching.Line]:
        """Yields a task's lines until it rests; see `watch`."""
        async with self.watch(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout) as watch:
            async for event in watch:
                if isinstance(event, watching.Line):
                    yield event

    async def wait(self, task_id: str, *, reconnect_timeout: float | None = 60.0) -> Task:
        """Waits until a task rests, and returns it; see `watch`."""
        # Starts at the newest line that is known, to be spared most of the log.
        after_line = (await self.get_task(task_id)).last_line
        async with self.watch(task_id, after_line=after_line, reconnect_timeout=reconnect_timeout) as watch:
            async for event in watch:
                if isinstance(event, watching.Rested):
                    return event.task
        raise AssertionError("A watch that nobody closed ends with Rested.")

    async def _call(self, method: aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        self._check_open()
        try:
            return await method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self.target) from error
        except asyncio.CancelledError:
            if not _is_cancelled():
                self._check_open()
            raise

    async def _pages(
        self, method: aio.UnaryUnaryMultiCallable[PagedRequest, PageResponse], request: PagedRequest
    ) -> AsyncIterator[PageResponse]:
        while True:
            page = await self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _open_stream(self, request: tasks_pb2.WatchTaskRequest) -> _Stream:
        self._check_open()
        stream = self._tasks.WatchTask(request, metadata=self._metadata)
        self._streams.add(stream)
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")


class AsyncWatch:
    """Iterates the events of one task, across as many streams as it takes.

    Leaving the loop ends the stream on the server; iterating again goes on after `last_line`. A stream that brings
    nothing for three heartbeats is taken for lost.
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
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def task(self) -> Task | None:
        """The task as it was last shown; None before the first event."""
        return self._resume.task

    @property
    def last_line(self) -> int:
        """The number of the last line that was shown: where another watch would go on."""
        return self._resume.last_line

    async def close(self) -> None:
        """Ends the iteration; another task may call this."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[watching.Event]:
        while not self._closed.is_set():
            failure: errors.TaskgroveError | None = None
            stream = self._stream = self._open_stream(self._resume.request())
            try:
                while (message := await self._read(stream)) is not None:
                    for event in self._resume.receive(message):
                        yield event
                    if self._resume.rested:
                        return
            except errors.TaskgroveError as lost:
                failure = lost
            finally:
                stream.cancel()
            if not self._closed.is_set():
                await self._pause(self._resume.lost(failure, time.monotonic()))

    async def _read(self, stream: _Stream) -> tasks_pb2.WatchTaskResponse | None:
        """Returns the next message, or None at the end of the stream."""
        silence = self._resume.silence_timeout
        try:
            async with asyncio.timeout(silence):
                message = await stream.read()
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, self._target) from error
        except TimeoutError:
            raise watching.silent(silence) from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            return None
        # EOF is an object of a type of its own, which the stubs do not let one name.
        return message if isinstance(message, tasks_pb2.WatchTaskResponse) else None

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._closed.wait()
        except TimeoutError:
            pass


def _is_cancelled() -> bool:
    """Tells whether the task was cancelled; gRPC raises CancelledError also when only the call was, by `close`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
