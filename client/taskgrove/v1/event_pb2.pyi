import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import failure_pb2 as _failure_pb2
from taskgrove.v1 import hold_pb2 as _hold_pb2
from taskgrove.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("sequence", "kind", "task_id", "task_list_id", "create_time", "task_title", "task_state", "slot", "run_number", "is_retry", "worktree", "failure_kind", "repository_changes", "hold")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Event.Kind]
        KIND_TASK_QUEUED: _ClassVar[Event.Kind]
        KIND_TASK_STARTED: _ClassVar[Event.Kind]
        KIND_RUN_CREATED: _ClassVar[Event.Kind]
        KIND_TASK_UPDATED: _ClassVar[Event.Kind]
        KIND_WORKTREE_UPDATED: _ClassVar[Event.Kind]
        KIND_TASK_FINISHED: _ClassVar[Event.Kind]
        KIND_TASK_DELETED: _ClassVar[Event.Kind]
        KIND_REPOSITORY_CHANGED: _ClassVar[Event.Kind]
        KIND_HOLD_BEGAN: _ClassVar[Event.Kind]
        KIND_HOLD_ENDED: _ClassVar[Event.Kind]
    KIND_UNSPECIFIED: Event.Kind
    KIND_TASK_QUEUED: Event.Kind
    KIND_TASK_STARTED: Event.Kind
    KIND_RUN_CREATED: Event.Kind
    KIND_TASK_UPDATED: Event.Kind
    KIND_WORKTREE_UPDATED: Event.Kind
    KIND_TASK_FINISHED: Event.Kind
    KIND_TASK_DELETED: Event.Kind
    KIND_REPOSITORY_CHANGED: Event.Kind
    KIND_HOLD_BEGAN: Event.Kind
    KIND_HOLD_ENDED: Event.Kind
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TASK_TITLE_FIELD_NUMBER: _ClassVar[int]
    TASK_STATE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    IS_RETRY_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_KIND_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_CHANGES_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    kind: Event.Kind
    task_id: str
    task_list_id: str
    create_time: _timestamp_pb2.Timestamp
    task_title: str
    task_state: _task_pb2.Task.State
    slot: int
    run_number: int
    is_retry: bool
    worktree: _task_pb2.Worktree
    failure_kind: _failure_pb2.FailureKind
    repository_changes: _containers.RepeatedScalarFieldContainer[str]
    hold: _hold_pb2.Hold
    def __init__(self, sequence: _Optional[int] = ..., kind: _Optional[_Union[Event.Kind, str]] = ..., task_id: _Optional[str] = ..., task_list_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., task_title: _Optional[str] = ..., task_state: _Optional[_Union[_task_pb2.Task.State, str]] = ..., slot: _Optional[int] = ..., run_number: _Optional[int] = ..., is_retry: bool = ..., worktree: _Optional[_Union[_task_pb2.Worktree, _Mapping]] = ..., failure_kind: _Optional[_Union[_failure_pb2.FailureKind, str]] = ..., repository_changes: _Optional[_Iterable[str]] = ..., hold: _Optional[_Union[_hold_pb2.Hold, _Mapping]] = ...) -> None: ...
