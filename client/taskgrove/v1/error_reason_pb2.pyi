from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_PAGE_TOKEN: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_TASK_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TASK_LIST_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TASK_ACTIVE: _ClassVar[ErrorReason]
    ERROR_REASON_NO_PREVIOUS_RUN: _ClassVar[ErrorReason]
    ERROR_REASON_SESSION_MISSING: _ClassVar[ErrorReason]
    ERROR_REASON_TASK_LIST_ACTIVE: _ClassVar[ErrorReason]
    ERROR_REASON_DIRECTORY_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PATH_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_A_REPOSITORY: _ClassVar[ErrorReason]
    ERROR_REASON_REPOSITORY_BARE: _ClassVar[ErrorReason]
    ERROR_REASON_REPOSITORY_EMPTY: _ClassVar[ErrorReason]
    ERROR_REASON_LINE_OUT_OF_RANGE: _ClassVar[ErrorReason]
    ERROR_REASON_LOG_LOST: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_DRAINING: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_WATCHERS: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_INVALID_PAGE_TOKEN: ErrorReason
ERROR_REASON_REQUEST_ID_REUSED: ErrorReason
ERROR_REASON_TASK_NOT_FOUND: ErrorReason
ERROR_REASON_TASK_LIST_NOT_FOUND: ErrorReason
ERROR_REASON_TASK_ACTIVE: ErrorReason
ERROR_REASON_NO_PREVIOUS_RUN: ErrorReason
ERROR_REASON_SESSION_MISSING: ErrorReason
ERROR_REASON_TASK_LIST_ACTIVE: ErrorReason
ERROR_REASON_DIRECTORY_NOT_FOUND: ErrorReason
ERROR_REASON_PATH_NOT_ALLOWED: ErrorReason
ERROR_REASON_NOT_A_REPOSITORY: ErrorReason
ERROR_REASON_REPOSITORY_BARE: ErrorReason
ERROR_REASON_REPOSITORY_EMPTY: ErrorReason
ERROR_REASON_LINE_OUT_OF_RANGE: ErrorReason
ERROR_REASON_LOG_LOST: ErrorReason
ERROR_REASON_TOKEN_INVALID: ErrorReason
ERROR_REASON_SERVER_DRAINING: ErrorReason
ERROR_REASON_STORE_UNAVAILABLE: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_TOO_MANY_WATCHERS: ErrorReason
