"""How the domain's errors look to a caller: one status code and one reason each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from taskgrove_server.api import texts
from taskgrove_server.domain import errors

#: The domain of every google.rpc.ErrorInfo.
DOMAIN = "taskgrove.dev"

#: After how many seconds a caller should call again, of those errors that pass by themselves.
RETRY_DELAY = 1

PASSING = (
    errors.ServerDraining,
    errors.StoreUnavailable,
    errors.MachineShort,
    errors.TooManyCalls,
    errors.TooManyWatchers,
)

#: Bytes of a message, and of each value of an ErrorInfo, that are sent; a path may have 4096. Callers refuse an
#: answer with more than 8 KiB of trailers, and a message travels twice, once with three bytes for some of its own.
LONGEST_TEXT = 1000

#: Violations that a BadRequest names: a request with hundreds of bad fields would not fit either.
VIOLATIONS = 20

_Code = grpc.StatusCode

TABLE: dict[type[errors.TaskgroveError], tuple[grpc.StatusCode, str]] = {
    errors.InvalidRequest: (_Code.INVALID_ARGUMENT, "INVALID_FIELD"),
    errors.InvalidPageToken: (_Code.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"),
    errors.RequestIdReused: (_Code.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    errors.TaskNotFound: (_Code.NOT_FOUND, "TASK_NOT_FOUND"),
    errors.TaskListNotFound: (_Code.NOT_FOUND, "TASK_LIST_NOT_FOUND"),
    errors.TaskActive: (_Code.FAILED_PRECONDITION, "TASK_ACTIVE"),
    errors.NoPreviousRun: (_Code.FAILED_PRECONDITION, "NO_PREVIOUS_RUN"),
    errors.SessionMissing: (_Code.FAILED_PRECONDITION, "SESSION_MISSING"),
    errors.TaskListDeleted: (_Code.FAILED_PRECONDITION, "TASK_LIST_NOT_FOUND"),
    errors.SubtaskNotFound: (_Code.NOT_FOUND, "SUBTASK_NOT_FOUND"),
    errors.TaskNotQueued: (_Code.FAILED_PRECONDITION, "TASK_NOT_QUEUED"),
    errors.BranchNotFound: (_Code.NOT_FOUND, "BRANCH_NOT_FOUND"),
    errors.RemoteNotFound: (_Code.NOT_FOUND, "REMOTE_NOT_FOUND"),
    errors.SetupLogNotFound: (_Code.NOT_FOUND, "SETUP_LOG_NOT_FOUND"),
    errors.HoldNotFound: (_Code.NOT_FOUND, "HOLD_NOT_FOUND"),
    errors.ServiceUnknown: (_Code.NOT_FOUND, "SERVICE_UNKNOWN"),
    errors.MethodUnknown: (_Code.UNIMPLEMENTED, "METHOD_UNKNOWN"),
    errors.RequestTooLarge: (_Code.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
    errors.NoWorktree: (_Code.FAILED_PRECONDITION, "NO_WORKTREE"),
    errors.WorkMissing: (_Code.FAILED_PRECONDITION, "WORK_MISSING"),
    errors.WorktreeBusy: (_Code.ABORTED, "WORKTREE_BUSY"),
    errors.WorktreePresent: (_Code.FAILED_PRECONDITION, "WORKTREE_PRESENT"),
    errors.WorktreeDirty: (_Code.FAILED_PRECONDITION, "WORKTREE_DIRTY"),
    errors.NothingToLand: (_Code.FAILED_PRECONDITION, "NOTHING_TO_LAND"),
    errors.LandConflict: (_Code.FAILED_PRECONDITION, "LAND_CONFLICT"),
    errors.HistoriesUnrelated: (_Code.FAILED_PRECONDITION, "LAND_CONFLICT"),
    errors.MergesNotRebasable: (_Code.FAILED_PRECONDITION, "MERGES_NOT_REBASABLE"),
    errors.OtherCommits: (_Code.FAILED_PRECONDITION, "OTHER_COMMITS"),
    errors.WorkUnfinished: (_Code.FAILED_PRECONDITION, "WORK_UNFINISHED"),
    errors.CheckoutDirty: (_Code.FAILED_PRECONDITION, "CHECKOUT_DIRTY"),
    errors.FilesInTheWay: (_Code.FAILED_PRECONDITION, "FILES_IN_THE_WAY"),
    errors.TargetBusy: (_Code.FAILED_PRECONDITION, "TARGET_BUSY"),
    errors.BranchMoved: (_Code.ABORTED, "BRANCH_MOVED"),
    errors.PushFailed: (_Code.FAILED_PRECONDITION, "PUSH_FAILED"),
    errors.SubmoduleUnpublished: (_Code.FAILED_PRECONDITION, "SUBMODULE_UNPUBLISHED"),
    errors.WorkNotSaved: (_Code.FAILED_PRECONDITION, "WORK_NOT_SAVED"),
    errors.RemovalRefused: (_Code.FAILED_PRECONDITION, "GIT_FAILED"),
    errors.RepositoryFailed: (_Code.FAILED_PRECONDITION, "GIT_FAILED"),
    errors.TooManyCalls: (_Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"),
    errors.EtagMismatch: (_Code.ABORTED, "ETAG_MISMATCH"),
    errors.TaskListActive: (_Code.FAILED_PRECONDITION, "TASK_LIST_ACTIVE"),
    errors.BranchPrefixTaken: (_Code.FAILED_PRECONDITION, "BRANCH_PREFIX_TAKEN"),
    errors.DirectoryNotFound: (_Code.INVALID_ARGUMENT, "DIRECTORY_NOT_FOUND"),
    errors.SubdirectoryNotFound: (_Code.INVALID_ARGUMENT, "DIRECTORY_NOT_FOUND"),
    errors.PathNotAllowed: (_Code.PERMISSION_DENIED, "PATH_NOT_ALLOWED"),
    errors.NotARepository: (_Code.INVALID_ARGUMENT, "NOT_A_REPOSITORY"),
    errors.RepositoryBare: (_Code.INVALID_ARGUMENT, "REPOSITORY_BARE"),
    errors.RepositoryEmpty: (_Code.FAILED_PRECONDITION, "REPOSITORY_EMPTY"),
    errors.LineOutOfRange: (_Code.OUT_OF_RANGE, "LINE_OUT_OF_RANGE"),
    errors.EventsTrimmed: (_Code.OUT_OF_RANGE, "EVENTS_TRIMMED"),
    errors.SequenceOutOfRange: (_Code.OUT_OF_RANGE, "SEQUENCE_OUT_OF_RANGE"),
    errors.LogLost: (_Code.DATA_LOSS, "LOG_LOST"),
    errors.LogRemoved: (_Code.OUT_OF_RANGE, "LOG_REMOVED"),
    errors.TooManyWatchers: (_Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS"),
    errors.TokenInvalid: (_Code.UNAUTHENTICATED, "TOKEN_INVALID"),
    errors.ServerDraining: (_Code.UNAVAILABLE, "SERVER_DRAINING"),
    errors.StoreUnavailable: (_Code.UNAVAILABLE, "STORE_UNAVAILABLE"),
    errors.MachineShort: (_Code.UNAVAILABLE, "STORE_UNAVAILABLE"),
}

INTERNAL = (_Code.INTERNAL, "INTERNAL")


def outcome(error: Exception) -> str:
    """Returns code and reason of an error, for the log."""
    code, reason = TABLE[type(error)] if isinstance(error, errors.TaskgroveError) else INTERNAL
    return f"{code.name} reason={reason}"


def to_status(error: Exception) -> status_pb2.Status:
    """Returns the status of an error, with its details. What is not in the table is an error of our own."""
    if not isinstance(error, errors.TaskgroveError):
        return _status(INTERNAL, "The server met an error of its own: its log has the details.", {}, ())
    details: list[Message] = []
    if isinstance(error, errors.InvalidRequest):
        violation = error_details_pb2.BadRequest.FieldViolation
        named = [
            violation(field=texts.valid(field), description=texts.valid(what))
            for field, what in error.violations[:VIOLATIONS]
        ]
        details.append(error_details_pb2.BadRequest(field_violations=named))
    if isinstance(error, PASSING):
        details.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=RETRY_DELAY)))
    return _status(TABLE[type(error)], error.message, error.metadata, details)


def _status(
    entry: tuple[grpc.StatusCode, str], message: str, metadata: Mapping[str, str], details: Iterable[Message]
) -> status_pb2.Status:
    code, reason = entry
    values = {name: texts.cut(texts.valid(value), LONGEST_TEXT) for name, value in metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=values)
    # Paths in it may be no UTF-8.
    message = texts.valid(message)
    shown = texts.cut(message, LONGEST_TEXT)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=shown if shown == message else f"{shown}…")
    for detail in (info, *details):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
