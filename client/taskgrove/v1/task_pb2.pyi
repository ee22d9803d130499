import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import failure_pb2 as _failure_pb2
from taskgrove.v1 import landing_pb2 as _landing_pb2
from taskgrove.v1 import run_config_pb2 as _run_config_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_VIEW_UNSPECIFIED: _ClassVar[TaskView]
    TASK_VIEW_FULL: _ClassVar[TaskView]
    TASK_VIEW_SUMMARY: _ClassVar[TaskView]
TASK_VIEW_UNSPECIFIED: TaskView
TASK_VIEW_FULL: TaskView
TASK_VIEW_SUMMARY: TaskView

class Task(_message.Message):
    __slots__ = ("id", "task_list_id", "title", "description", "subtasks", "overrides", "state", "slot", "cancel_requested", "result", "failure", "worktree", "directory", "run_count", "last_line", "create_time", "update_time", "start_time", "finish_time", "etag", "subdirectory")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Task.State]
        STATE_QUEUED: _ClassVar[Task.State]
        STATE_RUNNING: _ClassVar[Task.State]
        STATE_SUCCEEDED: _ClassVar[Task.State]
        STATE_FAILED: _ClassVar[Task.State]
        STATE_CANCELLED: _ClassVar[Task.State]
    STATE_UNSPECIFIED: Task.State
    STATE_QUEUED: Task.State
    STATE_RUNNING: Task.State
    STATE_SUCCEEDED: Task.State
    STATE_FAILED: Task.State
    STATE_CANCELLED: Task.State
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_LINE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SUBDIRECTORY_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_list_id: str
    title: str
    description: str
    subtasks: _containers.RepeatedCompositeFieldContainer[Subtask]
    overrides: _run_config_pb2.RunConfig
    state: Task.State
    slot: int
    cancel_requested: bool
    result: str
    failure: _failure_pb2.Failure
    worktree: Worktree
    directory: str
    run_count: int
    last_line: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    etag: str
    subdirectory: str
    def __init__(self, id: _Optional[str] = ..., task_list_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., subtasks: _Optional[_Iterable[_Union[Subtask, _Mapping]]] = ..., overrides: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., state: _Optional[_Union[Task.State, str]] = ..., slot: _Optional[int] = ..., cancel_requested: bool = ..., result: _Optional[str] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., worktree: _Optional[_Union[Worktree, _Mapping]] = ..., directory: _Optional[str] = ..., run_count: _Optional[int] = ..., last_line: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., subdirectory: _Optional[str] = ...) -> None: ...

class Subtask(_message.Message):
    __slots__ = ("title", "completed")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    title: str
    completed: bool
    def __init__(self, title: _Optional[str] = ..., completed: bool = ...) -> None: ...

class Worktree(_message.Message):
    __slots__ = ("path", "branch", "base_commit", "head_commit", "state", "saved_ref", "landing", "setup_log_path")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Worktree.State]
        STATE_PRESENT: _ClassVar[Worktree.State]
        STATE_PRUNED: _ClassVar[Worktree.State]
        STATE_DISCARDED: _ClassVar[Worktree.State]
    STATE_UNSPECIFIED: Worktree.State
    STATE_PRESENT: Worktree.State
    STATE_PRUNED: Worktree.State
    STATE_DISCARDED: Worktree.State
    PATH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    LANDING_FIELD_NUMBER: _ClassVar[int]
    SETUP_LOG_PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    branch: str
    base_commit: str
    head_commit: str
    state: Worktree.State
    saved_ref: str
    landing: _landing_pb2.Landing
    setup_log_path: str
    def __init__(self, path: _Optional[str] = ..., branch: _Optional[str] = ..., base_commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., state: _Optional[_Union[Worktree.State, str]] = ..., saved_ref: _Optional[str] = ..., landing: _Optional[_Union[_landing_pb2.Landing, _Mapping]] = ..., setup_log_path: _Optional[str] = ...) -> None: ...
