from taskgrove.v1 import run_config_pb2 as _run_config_pb2
from taskgrove.v1 import task_list_pb2 as _task_list_pb2
from taskgrove.v1 import worktree_settings_pb2 as _worktree_settings_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateTaskListRequest(_message.Message):
    __slots__ = ("title", "working_dir", "defaults", "request_id", "worktree_settings")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    title: str
    working_dir: str
    defaults: _run_config_pb2.RunConfig
    request_id: str
    worktree_settings: _worktree_settings_pb2.WorktreeSettings
    def __init__(self, title: _Optional[str] = ..., working_dir: _Optional[str] = ..., defaults: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., request_id: _Optional[str] = ..., worktree_settings: _Optional[_Union[_worktree_settings_pb2.WorktreeSettings, _Mapping]] = ...) -> None: ...

class CreateTaskListResponse(_message.Message):
    __slots__ = ("task_list",)
    TASK_LIST_FIELD_NUMBER: _ClassVar[int]
    task_list: _task_list_pb2.TaskList
    def __init__(self, task_list: _Optional[_Union[_task_list_pb2.TaskList, _Mapping]] = ...) -> None: ...

class GetTaskListRequest(_message.Message):
    __slots__ = ("task_list_id",)
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    task_list_id: str
    def __init__(self, task_list_id: _Optional[str] = ...) -> None: ...

class GetTaskListResponse(_message.Message):
    __slots__ = ("task_list",)
    TASK_LIST_FIELD_NUMBER: _ClassVar[int]
    task_list: _task_list_pb2.TaskList
    def __init__(self, task_list: _Optional[_Union[_task_list_pb2.TaskList, _Mapping]] = ...) -> None: ...

class ListTaskListsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "working_dir")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    working_dir: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., working_dir: _Optional[str] = ...) -> None: ...

class ListTaskListsResponse(_message.Message):
    __slots__ = ("task_lists", "next_page_token")
    TASK_LISTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_lists: _containers.RepeatedCompositeFieldContainer[_task_list_pb2.TaskList]
    next_page_token: str
    def __init__(self, task_lists: _Optional[_Iterable[_Union[_task_list_pb2.TaskList, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTaskListRequest(_message.Message):
    __slots__ = ("task_list_id", "title", "defaults", "worktree_settings", "etag", "request_id")
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_list_id: str
    title: str
    defaults: _run_config_pb2.RunConfig
    worktree_settings: _worktree_settings_pb2.WorktreeSettings
    etag: str
    request_id: str
    def __init__(self, task_list_id: _Optional[str] = ..., title: _Optional[str] = ..., defaults: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., worktree_settings: _Optional[_Union[_worktree_settings_pb2.WorktreeSettings, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateTaskListResponse(_message.Message):
    __slots__ = ("task_list",)
    TASK_LIST_FIELD_NUMBER: _ClassVar[int]
    task_list: _task_list_pb2.TaskList
    def __init__(self, task_list: _Optional[_Union[_task_list_pb2.TaskList, _Mapping]] = ...) -> None: ...

class DeleteTaskListRequest(_message.Message):
    __slots__ = ("task_list_id", "request_id")
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_list_id: str
    request_id: str
    def __init__(self, task_list_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteTaskListResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
