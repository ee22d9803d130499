"""Queues tasks for coding agents on a Taskgrove server, and streams every line that they write.

    with taskgrove.Client() as client:
        project = client.create_task_list("My project", working_dir="/home/me/project")
        task = client.enqueue(project.id, "Fix the login")
        for line in client.lines(task.id):
            print(line.text)
        print(client.get_task(task.id).result)

`AsyncClient` is the same for asyncio. `errors` shows what can go wrong.
"""

from taskgrove.aio import AsyncClient, AsyncEventWatch, AsyncWatch
from taskgrove.blocking import Client, EventWatch, Watch
from taskgrove.errors import (
    DeadlineExceeded,
    DirectoryNotFound,
    DirectoryRefused,
    EtagMismatch,
    EventsTrimmed,
    InternalServerError,
    InvalidPageToken,
    InvalidRequest,
    LineOutOfRange,
    LogLost,
    NoPreviousRun,
    NotARepository,
    NotFound,
    OutsideFeed,
    PathNotAllowed,
    ProtocolError,
    RepositoryBare,
    RepositoryEmpty,
    RequestIdReused,
    SequenceOutOfRange,
    ServerDraining,
    ServerUnavailable,
    SessionMissing,
    StoreUnavailable,
    SubtaskNotFound,
    TaskActive,
    TaskgroveError,
    TaskListActive,
    TaskListDeleted,
    TaskListNotFound,
    TaskNotFound,
    TaskNotQueued,
    TooManyWatchers,
    Unauthenticated,
    WrongState,
)
from taskgrove.lines import Line
from taskgrove.requests import TaskOrder, run_config
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.failure_pb2 import Failure, FailureKind
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_list_pb2 import TaskList
from taskgrove.v1.task_pb2 import Subtask, Task
from taskgrove.v1.task_service_pb2 import CancelResponse
from taskgrove.watching import Opened, Rested, TaskChanged, WatchEvent

#: The version of the installed distribution.
__version__: str


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Importing this takes a third of the time that the whole package does, and few ask for the version.
        from importlib import metadata  # noqa: PLC0415

        return metadata.version("taskgrove")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AsyncClient",
    "AsyncEventWatch",
    "AsyncWatch",
    "CancelResponse",
    "Client",
    "DeadlineExceeded",
    "DirectoryNotFound",
    "DirectoryRefused",
    "EtagMismatch",
    "Event",
    "EventWatch",
    "EventsTrimmed",
    "Failure",
    "FailureKind",
    "InternalServerError",
    "InvalidPageToken",
    "InvalidRequest",
    "Line",
    "LineOutOfRange",
    "LogLost",
    "NoPreviousRun",
    "NotARepository",
    "NotFound",
    "Opened",
    "OutsideFeed",
    "PathNotAllowed",
    "ProtocolError",
    "RepositoryBare",
    "RepositoryEmpty",
    "RequestIdReused",
    "Rested",
    "Run",
    "RunConfig",
    "SequenceOutOfRange",
    "ServerDraining",
    "ServerUnavailable",
    "SessionMissing",
    "StoreUnavailable",
    "Subtask",
    "SubtaskNotFound",
    "Task",
    "TaskActive",
    "TaskChanged",
    "TaskList",
    "TaskListActive",
    "TaskListDeleted",
    "TaskListNotFound",
    "TaskNotFound",
    "TaskNotQueued",
    "TaskOrder",
    "TaskgroveError",
    "TooManyWatchers",
    "Unauthenticated",
    "Watch",
    "WatchEvent",
    "WrongState",
    "__version__",
    "run_config",
]
