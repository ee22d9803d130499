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
from taskgrove.connection import Tls
from taskgrove.diffs import Diff, FileDiff
from taskgrove.errors import (
    BranchMoved,
    BranchNotFound,
    BranchPrefixTaken,
    CheckoutDirty,
    DeadlineExceeded,
    DirectoryNotFound,
    DirectoryRefused,
    EtagMismatch,
    EventsTrimmed,
    FilesInTheWay,
    HoldNotFound,
    InternalServerError,
    InvalidPageToken,
    InvalidRequest,
    LandConflict,
    LineOutOfRange,
    LogLost,
    LogRemoved,
    MergesNotRebasable,
    MethodUnknown,
    NoPreviousRun,
    NotARepository,
    NotFound,
    NothingToLand,
    NoWorktree,
    OtherCommits,
    OutsideFeed,
    PathNotAllowed,
    ProtocolError,
    PushFailed,
    RemoteNotFound,
    RepositoryBare,
    RepositoryEmpty,
    RepositoryFailed,
    RequestIdReused,
    RequestTooLarge,
    SequenceOutOfRange,
    ServerDraining,
    ServerUnavailable,
    ServiceUnknown,
    SessionMissing,
    SetupLogNotFound,
    StoreUnavailable,
    SubmoduleUnpublished,
    SubtaskNotFound,
    TargetBusy,
    TaskActive,
    TaskgroveError,
    TaskListActive,
    TaskListDeleted,
    TaskListNotFound,
    TaskNotFound,
    TaskNotQueued,
    TooManyCalls,
    TooManyWatchers,
    Unauthenticated,
    WorkMissing,
    WorkNotSaved,
    WorktreeBusy,
    WorktreeDirty,
    WorktreePresent,
    WorktreeRefused,
    WorkUnfinished,
    WrongState,
)
from taskgrove.lines import Line
from taskgrove.requests import TaskOrder, run_config, worktree_settings
from taskgrove.v1.change_pb2 import ChangedFile, Commit, NestedRepository, SavedRepository
from taskgrove.v1.event_pb2 import Event
from taskgrove.v1.failure_pb2 import Failure, FailureKind
from taskgrove.v1.hold_pb2 import Hold
from taskgrove.v1.landing_pb2 import Landing, LandStrategy
from taskgrove.v1.run_config_pb2 import RunConfig
from taskgrove.v1.run_pb2 import Run
from taskgrove.v1.task_list_pb2 import TaskList
from taskgrove.v1.task_pb2 import Subtask, Task, TaskView, Worktree
from taskgrove.v1.task_service_pb2 import CancelResponse
from taskgrove.v1.worktree_service_pb2 import Removal
from taskgrove.v1.worktree_settings_pb2 import WorktreeSettings
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
    "BranchMoved",
    "BranchNotFound",
    "BranchPrefixTaken",
    "CancelResponse",
    "ChangedFile",
    "CheckoutDirty",
    "Client",
    "Commit",
    "DeadlineExceeded",
    "Diff",
    "DirectoryNotFound",
    "DirectoryRefused",
    "EtagMismatch",
    "Event",
    "EventWatch",
    "EventsTrimmed",
    "Failure",
    "FailureKind",
    "FileDiff",
    "FilesInTheWay",
    "Hold",
    "HoldNotFound",
    "InternalServerError",
    "InvalidPageToken",
    "InvalidRequest",
    "LandConflict",
    "LandStrategy",
    "Landing",
    "Line",
    "LineOutOfRange",
    "LogLost",
    "LogRemoved",
    "MergesNotRebasable",
    "MethodUnknown",
    "NestedRepository",
    "NoPreviousRun",
    "NoWorktree",
    "NotARepository",
    "NotFound",
    "NothingToLand",
    "Opened",
    "OtherCommits",
    "OutsideFeed",
    "PathNotAllowed",
    "ProtocolError",
    "PushFailed",
    "RemoteNotFound",
    "Removal",
    "RepositoryBare",
    "RepositoryEmpty",
    "RepositoryFailed",
    "RequestIdReused",
    "RequestTooLarge",
    "Rested",
    "Run",
    "RunConfig",
    "SavedRepository",
    "SequenceOutOfRange",
    "ServerDraining",
    "ServerUnavailable",
    "ServiceUnknown",
    "SessionMissing",
    "SetupLogNotFound",
    "StoreUnavailable",
    "SubmoduleUnpublished",
    "Subtask",
    "SubtaskNotFound",
    "TargetBusy",
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
    "TaskView",
    "TaskgroveError",
    "Tls",
    "TooManyCalls",
    "TooManyWatchers",
    "Unauthenticated",
    "Watch",
    "WatchEvent",
    "WorkMissing",
    "WorkNotSaved",
    "WorkUnfinished",
    "Worktree",
    "WorktreeBusy",
    "WorktreeDirty",
    "WorktreePresent",
    "WorktreeRefused",
    "WorktreeSettings",
    "WrongState",
    "__version__",
    "run_config",
    "worktree_settings",
]
