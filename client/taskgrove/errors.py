"""Why a call failed.

    TaskgroveError
    ├── ServerUnavailable         no server there, or the connection was lost
    │   └── ServerDraining        the server is shutting down
    ├── DeadlineExceeded          no answer within the client's timeout
    ├── Unauthenticated           no bearer token, or a wrong one
    ├── InvalidRequest            a field is missing or malformed; see `violations`
    ├── InvalidPageToken
    ├── RequestTooLarge           the request, or its metadata, is larger than the server takes
    ├── MethodUnknown             the server has no such method: it may be older than this client
    ├── RequestIdReused
    ├── NotFound
    │   ├── TaskNotFound
    │   ├── TaskListNotFound
    │   ├── SubtaskNotFound
    │   ├── BranchNotFound
    │   ├── RemoteNotFound
    │   ├── SetupLogNotFound
    │   ├── HoldNotFound
    │   └── ServiceUnknown
    ├── WrongState                the thing exists, but its state forbids the call
    │   ├── TaskActive
    │   ├── NoPreviousRun
    │   ├── SessionMissing
    │   ├── TaskListDeleted
    │   ├── TaskListActive
    │   ├── TaskNotQueued
    │   └── BranchPrefixTaken
    ├── WorktreeRefused           a task's worktree or work forbids the call
    │   ├── NoWorktree
    │   ├── WorkMissing
    │   ├── WorktreeBusy
    │   ├── WorktreePresent
    │   ├── WorktreeDirty
    │   ├── NothingToLand
    │   ├── LandConflict
    │   ├── MergesNotRebasable
    │   ├── OtherCommits
    │   ├── WorkUnfinished
    │   ├── CheckoutDirty
    │   │   └── FilesInTheWay
    │   ├── TargetBusy
    │   ├── BranchMoved
    │   ├── PushFailed
    │   ├── SubmoduleUnpublished
    │   ├── WorkNotSaved
    │   └── RepositoryFailed
    ├── EtagMismatch              the thing has changed since it was read
    ├── DirectoryRefused          the server cannot use a directory
    │   ├── DirectoryNotFound
    │   ├── PathNotAllowed
    │   ├── NotARepository
    │   ├── RepositoryBare
    │   └── RepositoryEmpty
    ├── LineOutOfRange            the watch was to start after a line that does not exist yet
    ├── OutsideFeed               the position lies outside the events that are kept
    │   ├── EventsTrimmed
    │   └── SequenceOutOfRange
    ├── LogLost                   lines that were recorded can no longer be read
    ├── LogRemoved                lines were removed, as the server's log_retention says
    ├── TooManyWatchers           the server serves as many watchers as it may
    ├── TooManyCalls              the server does as much of this kind as it takes on
    ├── StoreUnavailable          the server could not store the change, or read what is stored
    ├── InternalServerError       the server met an error of its own
    └── ProtocolError             the server broke the contract of a stream

Every error of a call has the gRPC error that it was made from as `__cause__`. A task that fails is no error:
read its state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import grpc

from taskgrove import _status


class TaskgroveError(Exception):
    """The base of everything that a call can fail with.

    `reason` is the name of an ErrorReason without its prefix, or None when the failure is not the service's own;
    `code` is the gRPC status code, or None when no call was made; `metadata` holds the parts of the message
    that a program may want, by name (error_reason.proto lists them); `retry_delay` is the number of seconds
    after which the server invites another call, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        code: grpc.StatusCode | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_delay = retry_delay


class ServerUnavailable(TaskgroveError):
    """No server answers at the target, or the connection to it was lost."""


class ServerDraining(ServerUnavailable):
    """The server is shutting down; agents go on working meanwhile."""


class DeadlineExceeded(TaskgroveError):
    """The server did not answer within the client's timeout. The call may have taken effect nonetheless."""


class Unauthenticated(TaskgroveError):
    """The call carries no bearer token, or a wrong one."""


class InvalidRequest(TaskgroveError):
    """Fields are missing or malformed; `violations` holds (field, what is wrong) pairs."""

    violations: list[tuple[str, str]]

    def __init__(
        self,
        message: str,
        *,
        violations: Iterable[tuple[str, str]] = (),
        reason: str | None = None,
        code: grpc.StatusCode | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
    ) -> None:
        super().__init__(message, reason=reason, code=code, metadata=metadata, retry_delay=retry_delay)
        self.violations = list(violations)


class InvalidPageToken(TaskgroveError):
    """The page token was not made by this server, or for other filters."""


class RequestTooLarge(TaskgroveError):
    """The request, or its metadata, is larger than the server takes; `metadata["part"]` says which."""


class MethodUnknown(TaskgroveError):
    """The server has no such method: it may be older than this client."""


class RequestIdReused(TaskgroveError):
    """The request id was used before with another method or body. Nothing was done."""


class NotFound(TaskgroveError):
    """The thing that the call names does not exist."""


class TaskNotFound(NotFound):
    """No task has this id."""


class TaskListNotFound(NotFound):
    """No task list has this id."""


class SubtaskNotFound(NotFound):
    """The task has no subtask of this number."""


class BranchNotFound(NotFound):
    """The repository has no such branch."""


class RemoteNotFound(NotFound):
    """The repository has no such remote."""


class SetupLogNotFound(NotFound):
    """The task has no setup log."""


class HoldNotFound(NotFound):
    """There is no such hold: it has ended, or never was."""


class ServiceUnknown(NotFound):
    """A health check names no service of the server."""


class WrongState(TaskgroveError):
    """The thing exists, but its state forbids the call."""


class TaskActive(WrongState):
    """The task is queued or running: wait until it rests, or cancel it."""


class NoPreviousRun(WrongState):
    """The task has never been run, so there is nothing to continue."""


class SessionMissing(WrongState):
    """The task's last run left no session to resume."""


class TaskListDeleted(WrongState):
    """The task's list was deleted, so it cannot be continued."""


class TaskListActive(WrongState):
    """The task list still has queued or running tasks."""


class TaskNotQueued(WrongState):
    """The task does not wait in the queue any more, so that what its agent is told cannot be changed."""


class BranchPrefixTaken(WrongState):
    """A branch of the repository stands in the way of branches with this prefix.

    `metadata["branch_prefix"]` is one that works.
    """


class WorktreeRefused(TaskgroveError):
    """A task's worktree, or its work, forbids the call."""


class NoWorktree(WorktreeRefused):
    """The task has no worktree: it has not begun yet, or its list has no repository."""


class WorkMissing(WorktreeRefused):
    """Nothing of the task's work is left in the repository."""


class WorktreeBusy(WorktreeRefused):
    """Another call works on the task's worktree at this moment: call again."""


class WorktreePresent(WorktreeRefused):
    """The task's worktree or sandbox is still there."""


class WorktreeDirty(WorktreeRefused):
    """The task's worktree has changes that are not committed."""


class NothingToLand(WorktreeRefused):
    """The target branch has everything already."""


class LandConflict(WorktreeRefused):
    """The work and the target branch have changed the same places."""


class MergesNotRebasable(WorktreeRefused):
    """The work has merge commits with changes of their own, which a rebase would lose."""


class OtherCommits(WorktreeRefused):
    """More would land than the task has done."""


class WorkUnfinished(WorktreeRefused):
    """The task's worktree stands in the middle of a merge, a rebase or the like."""


class CheckoutDirty(WorktreeRefused):
    """The checkout of the target branch has changes of its own where the landing has some, or stands in a merge."""


class FilesInTheWay(CheckoutDirty):
    """The checkout of the target branch has files that git does not track where the landing puts others."""


class TargetBusy(WorktreeRefused):
    """The target branch cannot be moved at this moment, as while it is being rebased."""


class BranchMoved(WorktreeRefused):
    """A branch is not where it is expected to be: look again, and decide anew."""


class PushFailed(WorktreeRefused):
    """The remote repository refused the push, or could not be reached."""


class SubmoduleUnpublished(WorktreeRefused):
    """The work leads to a commit of a submodule that no remote repository is known to have: push it first."""


class WorkNotSaved(WorktreeRefused):
    """What is in a repository inside the task's worktree cannot be saved. Nothing was removed."""


class RepositoryFailed(WorktreeRefused):
    """Git failed on the repository, or the file system did before anything of a directory was removed."""


class EtagMismatch(TaskgroveError):
    """The thing has changed since the etag was read. Nothing was changed: read it again, and decide anew."""


class DirectoryRefused(TaskgroveError):
    """The server cannot use a directory."""


class DirectoryNotFound(DirectoryRefused):
    """The path is no directory that the server can read, or that a task can start in."""


class PathNotAllowed(DirectoryRefused):
    """The path lies outside the directories that the server may use."""


class NotARepository(DirectoryRefused):
    """The directory is not the top level of a git repository."""


class RepositoryBare(DirectoryRefused):
    """The repository is bare: it has no checkout to work from."""


class RepositoryEmpty(DirectoryRefused):
    """The repository has no commit to start a branch from."""


class LineOutOfRange(TaskgroveError):
    """The watch was to start after a line that does not exist yet."""


class OutsideFeed(TaskgroveError):
    """The position lies outside the events that are kept."""


class EventsTrimmed(OutsideFeed):
    """Events behind the position are no longer kept: list the tasks anew, and watch from there."""


class SequenceOutOfRange(OutsideFeed):
    """The position is beyond the newest event: the server's data may have been restored from an older copy."""


class LogLost(TaskgroveError):
    """Lines that were recorded can no longer be read."""


class LogRemoved(TaskgroveError):
    """The server has removed lines that were asked for, as its log_retention says.

    `metadata` has the `first_line` that is kept, or comes next.
    """


class TooManyWatchers(TaskgroveError):
    """The server serves as many watchers as it may: close a watch, or try again later."""


class TooManyCalls(TaskgroveError):
    """The server does as much of this kind at once as it takes on: call again."""


class StoreUnavailable(TaskgroveError):
    """The server could not store the change, or read what is stored, for instance because its disk is full.

    Nothing was changed.
    """


class InternalServerError(TaskgroveError):
    """The server met an error of its own; its log has the details."""


class ProtocolError(TaskgroveError):
    """The server broke the contract of a stream, for instance by leaving out a line."""


#: The class of each reason; but TASK_LIST_NOT_FOUND with FAILED_PRECONDITION is TaskListDeleted.
BY_REASON: Mapping[str, type[TaskgroveError]] = {
    "INVALID_FIELD": InvalidRequest,
    "INVALID_PAGE_TOKEN": InvalidPageToken,
    "REQUEST_ID_REUSED": RequestIdReused,
    "TASK_NOT_FOUND": TaskNotFound,
    "TASK_LIST_NOT_FOUND": TaskListNotFound,
    "SUBTASK_NOT_FOUND": SubtaskNotFound,
    "TASK_ACTIVE": TaskActive,
    "NO_PREVIOUS_RUN": NoPreviousRun,
    "SESSION_MISSING": SessionMissing,
    "TASK_LIST_ACTIVE": TaskListActive,
    "TASK_NOT_QUEUED": TaskNotQueued,
    "BRANCH_PREFIX_TAKEN": BranchPrefixTaken,
    "ETAG_MISMATCH": EtagMismatch,
    "BRANCH_NOT_FOUND": BranchNotFound,
    "REMOTE_NOT_FOUND": RemoteNotFound,
    "SETUP_LOG_NOT_FOUND": SetupLogNotFound,
    "HOLD_NOT_FOUND": HoldNotFound,
    "SERVICE_UNKNOWN": ServiceUnknown,
    "METHOD_UNKNOWN": MethodUnknown,
    "REQUEST_TOO_LARGE": RequestTooLarge,
    "NO_WORKTREE": NoWorktree,
    "WORK_MISSING": WorkMissing,
    "WORKTREE_BUSY": WorktreeBusy,
    "WORKTREE_PRESENT": WorktreePresent,
    "WORKTREE_DIRTY": WorktreeDirty,
    "NOTHING_TO_LAND": NothingToLand,
    "LAND_CONFLICT": LandConflict,
    "MERGES_NOT_REBASABLE": MergesNotRebasable,
    "OTHER_COMMITS": OtherCommits,
    "WORK_UNFINISHED": WorkUnfinished,
    "CHECKOUT_DIRTY": CheckoutDirty,
    "FILES_IN_THE_WAY": FilesInTheWay,
    "TARGET_BUSY": TargetBusy,
    "BRANCH_MOVED": BranchMoved,
    "PUSH_FAILED": PushFailed,
    "SUBMODULE_UNPUBLISHED": SubmoduleUnpublished,
    "WORK_NOT_SAVED": WorkNotSaved,
    "GIT_FAILED": RepositoryFailed,
    "TOO_MANY_CALLS": TooManyCalls,
    "DIRECTORY_NOT_FOUND": DirectoryNotFound,
    "PATH_NOT_ALLOWED": PathNotAllowed,
    "NOT_A_REPOSITORY": NotARepository,
    "REPOSITORY_BARE": RepositoryBare,
    "REPOSITORY_EMPTY": RepositoryEmpty,
    "LINE_OUT_OF_RANGE": LineOutOfRange,
    "LOG_LOST": LogLost,
    "LOG_REMOVED": LogRemoved,
    "EVENTS_TRIMMED": EventsTrimmed,
    "SEQUENCE_OUT_OF_RANGE": SequenceOutOfRange,
    "TOO_MANY_WATCHERS": TooManyWatchers,
    "TOKEN_INVALID": Unauthenticated,
    "SERVER_DRAINING": ServerDraining,
    "STORE_UNAVAILABLE": StoreUnavailable,
    "INTERNAL": InternalServerError,
}

#: The class of a failure without a reason, or with one that is newer than this client; else TaskgroveError.
BY_CODE: Mapping[grpc.StatusCode, type[TaskgroveError]] = {
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.UNIMPLEMENTED: MethodUnknown,
    grpc.StatusCode.INTERNAL: InternalServerError,
    grpc.StatusCode.UNKNOWN: InternalServerError,
}


def from_rpc_error(error: grpc.RpcError, target: str) -> TaskgroveError:
    """Translates an error of grpc or grpc.aio, which becomes the cause of the result."""
    code = error.code()
    # The stubs know neither that these are pairs nor that there may be none.
    trailing = cast("tuple[tuple[str, str | bytes], ...] | None", error.trailing_metadata())
    details = _status.decode(trailing or ())
    message = error.details() or code.name
    if details.reason is None and code == grpc.StatusCode.UNAVAILABLE:
        message = f"No Taskgrove server can be reached at {target}; is taskgroved running there? ({message})"
    elif details.reason is None and code == grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"The server at {target} did not answer in time. The call may have taken effect. ({message})"
    translated = _class_of(details.reason, code)(
        message,
        reason=details.reason,
        code=code,
        metadata=details.metadata,
        retry_delay=details.retry_delay,
    )
    if isinstance(translated, InvalidRequest):
        translated.violations = list(details.violations)
    translated.__cause__ = error
    return translated


def _class_of(reason: str | None, code: grpc.StatusCode) -> type[TaskgroveError]:
    if reason == "TASK_LIST_NOT_FOUND" and code == grpc.StatusCode.FAILED_PRECONDITION:
        return TaskListDeleted
    return BY_REASON.get(reason or "", BY_CODE.get(code, TaskgroveError))
