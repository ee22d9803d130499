import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunConfig(_message.Message):
    __slots__ = ("agent", "model", "system_prompt", "agent_path", "output_schema", "permission_mode", "allowed_tools", "max_turns", "run_timeout", "command", "stall_timeout", "linger", "log_limit", "setting_sources")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_PATH_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_MODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TURNS_FIELD_NUMBER: _ClassVar[int]
    RUN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LINGER_FIELD_NUMBER: _ClassVar[int]
    LOG_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SETTING_SOURCES_FIELD_NUMBER: _ClassVar[int]
    agent: str
    model: str
    system_prompt: str
    agent_path: str
    output_schema: str
    permission_mode: str
    allowed_tools: _containers.RepeatedScalarFieldContainer[str]
    max_turns: int
    run_timeout: _duration_pb2.Duration
    command: Command
    stall_timeout: _duration_pb2.Duration
    linger: _duration_pb2.Duration
    log_limit: int
    setting_sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent: _Optional[str] = ..., model: _Optional[str] = ..., system_prompt: _Optional[str] = ..., agent_path: _Optional[str] = ..., output_schema: _Optional[str] = ..., permission_mode: _Optional[str] = ..., allowed_tools: _Optional[_Iterable[str]] = ..., max_turns: _Optional[int] = ..., run_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., linger: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., log_limit: _Optional[int] = ..., setting_sources: _Optional[_Iterable[str]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("argv", "shell")
    ARGV_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    argv: Argv
    shell: str
    def __init__(self, argv: _Optional[_Union[Argv, _Mapping]] = ..., shell: _Optional[str] = ...) -> None: ...

class Argv(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...
