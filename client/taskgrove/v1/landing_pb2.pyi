import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LandStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAND_STRATEGY_UNSPECIFIED: _ClassVar[LandStrategy]
    LAND_STRATEGY_MERGE: _ClassVar[LandStrategy]
    LAND_STRATEGY_SQUASH: _ClassVar[LandStrategy]
    LAND_STRATEGY_REBASE: _ClassVar[LandStrategy]
LAND_STRATEGY_UNSPECIFIED: LandStrategy
LAND_STRATEGY_MERGE: LandStrategy
LAND_STRATEGY_SQUASH: LandStrategy
LAND_STRATEGY_REBASE: LandStrategy

class Landing(_message.Message):
    __slots__ = ("target_branch", "commit", "head_commit", "strategy", "land_time")
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    LAND_TIME_FIELD_NUMBER: _ClassVar[int]
    target_branch: str
    commit: str
    head_commit: str
    strategy: LandStrategy
    land_time: _timestamp_pb2.Timestamp
    def __init__(self, target_branch: _Optional[str] = ..., commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., strategy: _Optional[_Union[LandStrategy, str]] = ..., land_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
