import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskgrove.v1 import hold_pb2 as _hold_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LiftHoldRequest(_message.Message):
    __slots__ = ("hold_id", "request_id")
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    request_id: str
    def __init__(self, hold_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class LiftHoldResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "api_revision", "start_time", "agents", "slots", "busy_slots", "queued_tasks", "git_version", "space_short", "allowed_roots", "holds", "troubles", "disk_usage", "data_directory", "addresses")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    API_REVISION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    BUSY_SLOTS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_TASKS_FIELD_NUMBER: _ClassVar[int]
    GIT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SPACE_SHORT_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_ROOTS_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    DISK_USAGE_FIELD_NUMBER: _ClassVar[int]
    DATA_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    version: str
    api_revision: int
    start_time: _timestamp_pb2.Timestamp
    agents: _containers.RepeatedCompositeFieldContainer[Agent]
    slots: int
    busy_slots: int
    queued_tasks: int
    git_version: str
    space_short: bool
    allowed_roots: _containers.RepeatedScalarFieldContainer[str]
    holds: _containers.RepeatedCompositeFieldContainer[_hold_pb2.Hold]
    troubles: _containers.RepeatedCompositeFieldContainer[Trouble]
    disk_usage: DiskUsage
    data_directory: DataDirectory
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., api_revision: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., agents: _Optional[_Iterable[_Union[Agent, _Mapping]]] = ..., slots: _Optional[int] = ..., busy_slots: _Optional[int] = ..., queued_tasks: _Optional[int] = ..., git_version: _Optional[str] = ..., space_short: bool = ..., allowed_roots: _Optional[_Iterable[str]] = ..., holds: _Optional[_Iterable[_Union[_hold_pb2.Hold, _Mapping]]] = ..., troubles: _Optional[_Iterable[_Union[Trouble, _Mapping]]] = ..., disk_usage: _Optional[_Union[DiskUsage, _Mapping]] = ..., data_directory: _Optional[_Union[DataDirectory, _Mapping]] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class DiskUsage(_message.Message):
    __slots__ = ("log_bytes", "worktree_bytes", "sandbox_bytes", "database_bytes", "leftover_bytes", "saved_refs", "kept_refs", "measure_time")
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATABASE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEFTOVER_BYTES_FIELD_NUMBER: _ClassVar[int]
    SAVED_REFS_FIELD_NUMBER: _ClassVar[int]
    KEPT_REFS_FIELD_NUMBER: _ClassVar[int]
    MEASURE_TIME_FIELD_NUMBER: _ClassVar[int]
    log_bytes: int
    worktree_bytes: int
    sandbox_bytes: int
    database_bytes: int
    leftover_bytes: int
    saved_refs: int
    kept_refs: int
    measure_time: _timestamp_pb2.Timestamp
    def __init__(self, log_bytes: _Optional[int] = ..., worktree_bytes: _Optional[int] = ..., sandbox_bytes: _Optional[int] = ..., database_bytes: _Optional[int] = ..., leftover_bytes: _Optional[int] = ..., saved_refs: _Optional[int] = ..., kept_refs: _Optional[int] = ..., measure_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DataDirectory(_message.Message):
    __slots__ = ("path", "id", "copied_from")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    COPIED_FROM_FIELD_NUMBER: _ClassVar[int]
    path: str
    id: str
    copied_from: str
    def __init__(self, path: _Optional[str] = ..., id: _Optional[str] = ..., copied_from: _Optional[str] = ...) -> None: ...

class Trouble(_message.Message):
    __slots__ = ("name", "message", "count", "begin_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    count: int
    begin_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ..., count: _Optional[int] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Agent(_message.Message):
    __slots__ = ("name", "available", "version", "path", "problem", "capabilities")
    class Capabilities(_message.Message):
        __slots__ = ("sessions", "models", "structured_output", "usage", "interrupts")
        SESSIONS_FIELD_NUMBER: _ClassVar[int]
        MODELS_FIELD_NUMBER: _ClassVar[int]
        STRUCTURED_OUTPUT_FIELD_NUMBER: _ClassVar[int]
        USAGE_FIELD_NUMBER: _ClassVar[int]
        INTERRUPTS_FIELD_NUMBER: _ClassVar[int]
        sessions: bool
        models: bool
        structured_output: bool
        usage: bool
        interrupts: bool
        def __init__(self, sessions: bool = ..., models: bool = ..., structured_output: bool = ..., usage: bool = ..., interrupts: bool = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    available: bool
    version: str
    path: str
    problem: str
    capabilities: Agent.Capabilities
    def __init__(self, name: _Optional[str] = ..., available: bool = ..., version: _Optional[str] = ..., path: _Optional[str] = ..., problem: _Optional[str] = ..., capabilities: _Optional[_Union[Agent.Capabilities, _Mapping]] = ...) -> None: ...
