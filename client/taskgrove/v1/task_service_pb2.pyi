import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import failure_pb2 as _failure_pb2
from taskgrove.v1 import run_pb2 as _run_pb2
from taskgrove.v1 import run_config_pb2 as _run_config_pb2
from taskgrove.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnqueueRequest(_message.Message):
    __slots__ = ("task_list_id", "title", "description", "subtasks", "overrides", "request_id", "subdirectory")
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBDIRECTORY_FIELD_NUMBER: _ClassVar[int]
    task_list_id: str
    title: str
    description: str
    subtasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Subtask]
    overrides: _run_config_pb2.RunConfig
    request_id: str
    subdirectory: str
    def __init__(self, task_list_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., subtasks: _Optional[_Iterable[_Union[_task_pb2.Subtask, _Mapping]]] = ..., overrides: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., request_id: _Optional[str] = ..., subdirectory: _Optional[str] = ...) -> None: ...

class EnqueueResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class ContinueRequest(_message.Message):
    __slots__ = ("task_id", "prompt", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    prompt: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., prompt: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ContinueResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("task_id", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("task", "outcome")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[CancelResponse.Outcome]
        OUTCOME_CANCELLED: _ClassVar[CancelResponse.Outcome]
        OUTCOME_STOPPING: _ClassVar[CancelResponse.Outcome]
        OUTCOME_TOO_LATE: _ClassVar[CancelResponse.Outcome]
        OUTCOME_ALREADY_RESTED: _ClassVar[CancelResponse.Outcome]
    OUTCOME_UNSPECIFIED: CancelResponse.Outcome
    OUTCOME_CANCELLED: CancelResponse.Outcome
    OUTCOME_STOPPING: CancelResponse.Outcome
    OUTCOME_TOO_LATE: CancelResponse.Outcome
    OUTCOME_ALREADY_RESTED: CancelResponse.Outcome
    TASK_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    outcome: CancelResponse.Outcome
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., outcome: _Optional[_Union[CancelResponse.Outcome, str]] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id", "after_line", "heartbeat_interval")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_LINE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    after_line: int
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, task_id: _Optional[str] = ..., after_line: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("opened", "lines", "fragment", "task", "heartbeat", "rested")
    class Opened(_message.Message):
        __slots__ = ("task", "first_line", "last_line")
        TASK_FIELD_NUMBER: _ClassVar[int]
        FIRST_LINE_FIELD_NUMBER: _ClassVar[int]
        LAST_LINE_FIELD_NUMBER: _ClassVar[int]
        task: _task_pb2.Task
        first_line: int
        last_line: int
        def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., first_line: _Optional[int] = ..., last_line: _Optional[int] = ...) -> None: ...
    class Lines(_message.Message):
        __slots__ = ("run_number", "first_line", "count", "data")
        RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
        FIRST_LINE_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        run_number: int
        first_line: int
        count: int
        data: bytes
        def __init__(self, run_number: _Optional[int] = ..., first_line: _Optional[int] = ..., count: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
    class Fragment(_message.Message):
        __slots__ = ("run_number", "line", "offset", "line_size", "data")
        RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
        LINE_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        LINE_SIZE_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        run_number: int
        line: int
        offset: int
        line_size: int
        data: bytes
        def __init__(self, run_number: _Optional[int] = ..., line: _Optional[int] = ..., offset: _Optional[int] = ..., line_size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ("last_line",)
        LAST_LINE_FIELD_NUMBER: _ClassVar[int]
        last_line: int
        def __init__(self, last_line: _Optional[int] = ...) -> None: ...
    class Rested(_message.Message):
        __slots__ = ("task",)
        TASK_FIELD_NUMBER: _ClassVar[int]
        task: _task_pb2.Task
        def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...
    OPENED_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESTED_FIELD_NUMBER: _ClassVar[int]
    opened: WatchTaskResponse.Opened
    lines: WatchTaskResponse.Lines
    fragment: WatchTaskResponse.Fragment
    task: _task_pb2.Task
    heartbeat: WatchTaskResponse.Heartbeat
    rested: WatchTaskResponse.Rested
    def __init__(self, opened: _Optional[_Union[WatchTaskResponse.Opened, _Mapping]] = ..., lines: _Optional[_Union[WatchTaskResponse.Lines, _Mapping]] = ..., fragment: _Optional[_Union[WatchTaskResponse.Fragment, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchTaskResponse.Heartbeat, _Mapping]] = ..., rested: _Optional[_Union[WatchTaskResponse.Rested, _Mapping]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "task_list_id", "states", "order", "title_contains", "created_after", "created_before", "failure_kinds", "task_list_ids", "view", "finished_before")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORDER_UNSPECIFIED: _ClassVar[ListTasksRequest.Order]
        ORDER_NEWEST_FIRST: _ClassVar[ListTasksRequest.Order]
        ORDER_OLDEST_FIRST: _ClassVar[ListTasksRequest.Order]
        ORDER_LAST_CHANGED_FIRST: _ClassVar[ListTasksRequest.Order]
    ORDER_UNSPECIFIED: ListTasksRequest.Order
    ORDER_NEWEST_FIRST: ListTasksRequest.Order
    ORDER_OLDEST_FIRST: ListTasksRequest.Order
    ORDER_LAST_CHANGED_FIRST: ListTasksRequest.Order
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    TITLE_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_KINDS_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_IDS_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    FINISHED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    task_list_id: str
    states: _containers.RepeatedScalarFieldContainer[_task_pb2.Task.State]
    order: ListTasksRequest.Order
    title_contains: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    failure_kinds: _containers.RepeatedScalarFieldContainer[_failure_pb2.FailureKind]
    task_list_ids: _containers.RepeatedScalarFieldContainer[str]
    view: _task_pb2.TaskView
    finished_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., task_list_id: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_task_pb2.Task.State, str]]] = ..., order: _Optional[_Union[ListTasksRequest.Order, str]] = ..., title_contains: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure_kinds: _Optional[_Iterable[_Union[_failure_pb2.FailureKind, str]]] = ..., task_list_ids: _Optional[_Iterable[str]] = ..., view: _Optional[_Union[_task_pb2.TaskView, str]] = ..., finished_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("task_id", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_run_pb2.Run]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_run_pb2.Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RetryTaskRequest(_message.Message):
    __slots__ = ("task_id", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class UpdateTaskRequest(_message.Message):
    __slots__ = ("task_id", "title", "description", "subtasks", "overrides", "etag", "request_id")
    class Subtasks(_message.Message):
        __slots__ = ("subtasks",)
        SUBTASKS_FIELD_NUMBER: _ClassVar[int]
        subtasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Subtask]
        def __init__(self, subtasks: _Optional[_Iterable[_Union[_task_pb2.Subtask, _Mapping]]] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    title: str
    description: str
    subtasks: UpdateTaskRequest.Subtasks
    overrides: _run_config_pb2.RunConfig
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., subtasks: _Optional[_Union[UpdateTaskRequest.Subtasks, _Mapping]] = ..., overrides: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class UpdateSubtaskRequest(_message.Message):
    __slots__ = ("task_id", "number", "completed", "etag", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    number: int
    completed: bool
    etag: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., number: _Optional[int] = ..., completed: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateSubtaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class DeleteTaskRequest(_message.Message):
    __slots__ = ("task_id", "discard_worktree", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISCARD_WORKTREE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    discard_worktree: bool
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., discard_worktree: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteTaskResponse(_message.Message):
    __slots__ = ("saved_ref", "leftover_path")
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    LEFTOVER_PATH_FIELD_NUMBER: _ClassVar[int]
    saved_ref: str
    leftover_path: str
    def __init__(self, saved_ref: _Optional[str] = ..., leftover_path: _Optional[str] = ...) -> None: ...

class ReadLinesRequest(_message.Message):
    __slots__ = ("task_id", "after_line", "last_lines", "max_lines")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_LINE_FIELD_NUMBER: _ClassVar[int]
    LAST_LINES_FIELD_NUMBER: _ClassVar[int]
    MAX_LINES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    after_line: int
    last_lines: int
    max_lines: int
    def __init__(self, task_id: _Optional[str] = ..., after_line: _Optional[int] = ..., last_lines: _Optional[int] = ..., max_lines: _Optional[int] = ...) -> None: ...

class ReadLinesResponse(_message.Message):
    __slots__ = ("lines", "fragment", "end")
    class End(_message.Message):
        __slots__ = ("last_line",)
        LAST_LINE_FIELD_NUMBER: _ClassVar[int]
        last_line: int
        def __init__(self, last_line: _Optional[int] = ...) -> None: ...
    LINES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    lines: WatchTaskResponse.Lines
    fragment: WatchTaskResponse.Fragment
    end: ReadLinesResponse.End
    def __init__(self, lines: _Optional[_Union[WatchTaskResponse.Lines, _Mapping]] = ..., fragment: _Optional[_Union[WatchTaskResponse.Fragment, _Mapping]] = ..., end: _Optional[_Union[ReadLinesResponse.End, _Mapping]] = ...) -> None: ...
