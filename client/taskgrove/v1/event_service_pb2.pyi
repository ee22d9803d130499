import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from taskgrove.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchEventsRequest(_message.Message):
    __slots__ = ("after_sequence", "task_list_ids", "kinds", "heartbeat_interval")
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_IDS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    after_sequence: int
    task_list_ids: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[_event_pb2.Event.Kind]
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, after_sequence: _Optional[int] = ..., task_list_ids: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[_Union[_event_pb2.Event.Kind, str]]] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("opened", "events", "heartbeat")
    class Opened(_message.Message):
        __slots__ = ("first_sequence", "last_sequence")
        FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        first_sequence: int
        last_sequence: int
        def __init__(self, first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ...) -> None: ...
    class Events(_message.Message):
        __slots__ = ("events",)
        EVENTS_FIELD_NUMBER: _ClassVar[int]
        events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
        def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...
    class Heartbeat(_message.Message):
        __slots__ = ("last_sequence",)
        LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        last_sequence: int
        def __init__(self, last_sequence: _Optional[int] = ...) -> None: ...
    OPENED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    opened: WatchEventsResponse.Opened
    events: WatchEventsResponse.Events
    heartbeat: WatchEventsResponse.Heartbeat
    def __init__(self, opened: _Optional[_Union[WatchEventsResponse.Opened, _Mapping]] = ..., events: _Optional[_Union[WatchEventsResponse.Events, _Mapping]] = ..., heartbeat: _Optional[_Union[WatchEventsResponse.Heartbeat, _Mapping]] = ...) -> None: ...
