import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from taskgrove.v1 import run_config_pb2 as _run_config_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorktreeSettings(_message.Message):
    __slots__ = ("base_branch", "branch_prefix", "copied_files", "setup_command", "setup_timeout", "clean_up")
    BASE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_PREFIX_FIELD_NUMBER: _ClassVar[int]
    COPIED_FILES_FIELD_NUMBER: _ClassVar[int]
    SETUP_COMMAND_FIELD_NUMBER: _ClassVar[int]
    SETUP_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CLEAN_UP_FIELD_NUMBER: _ClassVar[int]
    base_branch: str
    branch_prefix: str
    copied_files: _containers.RepeatedScalarFieldContainer[str]
    setup_command: _run_config_pb2.Command
    setup_timeout: _duration_pb2.Duration
    clean_up: CleanUp
    def __init__(self, base_branch: _Optional[str] = ..., branch_prefix: _Optional[str] = ..., copied_files: _Optional[_Iterable[str]] = ..., setup_command: _Optional[_Union[_run_config_pb2.Command, _Mapping]] = ..., setup_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., clean_up: _Optional[_Union[CleanUp, _Mapping]] = ...) -> None: ...

class CleanUp(_message.Message):
    __slots__ = ("landed_after", "rested_after")
    LANDED_AFTER_FIELD_NUMBER: _ClassVar[int]
    RESTED_AFTER_FIELD_NUMBER: _ClassVar[int]
    landed_after: _duration_pb2.Duration
    rested_after: _duration_pb2.Duration
    def __init__(self, landed_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rested_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
