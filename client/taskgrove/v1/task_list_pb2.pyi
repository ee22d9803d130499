import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import run_config_pb2 as _run_config_pb2
from taskgrove.v1 import worktree_settings_pb2 as _worktree_settings_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskList(_message.Message):
    __slots__ = ("id", "title", "working_dir", "defaults", "create_time", "update_time", "worktree_settings", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    working_dir: str
    defaults: _run_config_pb2.RunConfig
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    worktree_settings: _worktree_settings_pb2.WorktreeSettings
    etag: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., working_dir: _Optional[str] = ..., defaults: _Optional[_Union[_run_config_pb2.RunConfig, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worktree_settings: _Optional[_Union[_worktree_settings_pb2.WorktreeSettings, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...
