import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_AGENT: _ClassVar[FailureKind]
    FAILURE_KIND_AUTH: _ClassVar[FailureKind]
    FAILURE_KIND_BILLING: _ClassVar[FailureKind]
    FAILURE_KIND_RATE_LIMITED: _ClassVar[FailureKind]
    FAILURE_KIND_OVERLOADED: _ClassVar[FailureKind]
    FAILURE_KIND_MODEL_NOT_FOUND: _ClassVar[FailureKind]
    FAILURE_KIND_CONTEXT_FULL: _ClassVar[FailureKind]
    FAILURE_KIND_MAX_TURNS: _ClassVar[FailureKind]
    FAILURE_KIND_BUDGET: _ClassVar[FailureKind]
    FAILURE_KIND_TIMEOUT: _ClassVar[FailureKind]
    FAILURE_KIND_STALLED: _ClassVar[FailureKind]
    FAILURE_KIND_CRASHED: _ClassVar[FailureKind]
    FAILURE_KIND_REFUSED: _ClassVar[FailureKind]
    FAILURE_KIND_SESSION_LOST: _ClassVar[FailureKind]
    FAILURE_KIND_OUTPUT_MISSING: _ClassVar[FailureKind]
    FAILURE_KIND_INVALID_CONFIG: _ClassVar[FailureKind]
    FAILURE_KIND_AGENT_NOT_FOUND: _ClassVar[FailureKind]
    FAILURE_KIND_WORKTREE: _ClassVar[FailureKind]
    FAILURE_KIND_COMMIT: _ClassVar[FailureKind]
    FAILURE_KIND_INTERRUPTED: _ClassVar[FailureKind]
    FAILURE_KIND_TASK_LIST_NOT_FOUND: _ClassVar[FailureKind]
    FAILURE_KIND_INTERNAL: _ClassVar[FailureKind]
    FAILURE_KIND_DISK_FULL: _ClassVar[FailureKind]
    FAILURE_KIND_SETUP: _ClassVar[FailureKind]
    FAILURE_KIND_WORK_UNFINISHED: _ClassVar[FailureKind]
    FAILURE_KIND_LOG_LIMIT: _ClassVar[FailureKind]
    FAILURE_KIND_BLOCKED: _ClassVar[FailureKind]
    FAILURE_KIND_MACHINE: _ClassVar[FailureKind]
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_AGENT: FailureKind
FAILURE_KIND_AUTH: FailureKind
FAILURE_KIND_BILLING: FailureKind
FAILURE_KIND_RATE_LIMITED: FailureKind
FAILURE_KIND_OVERLOADED: FailureKind
FAILURE_KIND_MODEL_NOT_FOUND: FailureKind
FAILURE_KIND_CONTEXT_FULL: FailureKind
FAILURE_KIND_MAX_TURNS: FailureKind
FAILURE_KIND_BUDGET: FailureKind
FAILURE_KIND_TIMEOUT: FailureKind
FAILURE_KIND_STALLED: FailureKind
FAILURE_KIND_CRASHED: FailureKind
FAILURE_KIND_REFUSED: FailureKind
FAILURE_KIND_SESSION_LOST: FailureKind
FAILURE_KIND_OUTPUT_MISSING: FailureKind
FAILURE_KIND_INVALID_CONFIG: FailureKind
FAILURE_KIND_AGENT_NOT_FOUND: FailureKind
FAILURE_KIND_WORKTREE: FailureKind
FAILURE_KIND_COMMIT: FailureKind
FAILURE_KIND_INTERRUPTED: FailureKind
FAILURE_KIND_TASK_LIST_NOT_FOUND: FailureKind
FAILURE_KIND_INTERNAL: FailureKind
FAILURE_KIND_DISK_FULL: FailureKind
FAILURE_KIND_SETUP: FailureKind
FAILURE_KIND_WORK_UNFINISHED: FailureKind
FAILURE_KIND_LOG_LIMIT: FailureKind
FAILURE_KIND_BLOCKED: FailureKind
FAILURE_KIND_MACHINE: FailureKind

class Failure(_message.Message):
    __slots__ = ("kind", "message", "retryable", "http_status", "retry_time")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    message: str
    retryable: bool
    http_status: int
    retry_time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., message: _Optional[str] = ..., retryable: bool = ..., http_status: _Optional[int] = ..., retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
