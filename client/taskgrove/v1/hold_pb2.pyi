import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import failure_pb2 as _failure_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hold(_message.Message):
    __slots__ = ("id", "kind", "subject", "reason", "failure_kind", "attempts", "create_time", "next_try_time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Hold.Kind]
        KIND_MACHINE: _ClassVar[Hold.Kind]
        KIND_DISK: _ClassVar[Hold.Kind]
        KIND_AGENT: _ClassVar[Hold.Kind]
        KIND_TASK: _ClassVar[Hold.Kind]
    KIND_UNSPECIFIED: Hold.Kind
    KIND_MACHINE: Hold.Kind
    KIND_DISK: Hold.Kind
    KIND_AGENT: Hold.Kind
    KIND_TASK: Hold.Kind
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: Hold.Kind
    subject: str
    reason: str
    failure_kind: _failure_pb2.FailureKind
    attempts: int
    create_time: _timestamp_pb2.Timestamp
    next_try_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[Hold.Kind, str]] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., failure_kind: _Optional[_Union[_failure_pb2.FailureKind, str]] = ..., attempts: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_try_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
