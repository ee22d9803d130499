import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangedFile(_message.Message):
    __slots__ = ("path", "raw_path", "old_path", "kind", "binary", "insertions", "deletions", "old_mode", "mode")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ChangedFile.Kind]
        KIND_ADDED: _ClassVar[ChangedFile.Kind]
        KIND_MODIFIED: _ClassVar[ChangedFile.Kind]
        KIND_DELETED: _ClassVar[ChangedFile.Kind]
        KIND_RENAMED: _ClassVar[ChangedFile.Kind]
        KIND_TYPE_CHANGED: _ClassVar[ChangedFile.Kind]
    KIND_UNSPECIFIED: ChangedFile.Kind
    KIND_ADDED: ChangedFile.Kind
    KIND_MODIFIED: ChangedFile.Kind
    KIND_DELETED: ChangedFile.Kind
    KIND_RENAMED: ChangedFile.Kind
    KIND_TYPE_CHANGED: ChangedFile.Kind
    PATH_FIELD_NUMBER: _ClassVar[int]
    RAW_PATH_FIELD_NUMBER: _ClassVar[int]
    OLD_PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    INSERTIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    OLD_MODE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    path: str
    raw_path: bytes
    old_path: str
    kind: ChangedFile.Kind
    binary: bool
    insertions: int
    deletions: int
    old_mode: str
    mode: str
    def __init__(self, path: _Optional[str] = ..., raw_path: _Optional[bytes] = ..., old_path: _Optional[str] = ..., kind: _Optional[_Union[ChangedFile.Kind, str]] = ..., binary: bool = ..., insertions: _Optional[int] = ..., deletions: _Optional[int] = ..., old_mode: _Optional[str] = ..., mode: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("id", "subject", "body", "author_name", "author_email", "author_time", "commit_time", "parent_ids")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_EMAIL_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    PARENT_IDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    subject: str
    body: str
    author_name: str
    author_email: str
    author_time: _timestamp_pb2.Timestamp
    commit_time: _timestamp_pb2.Timestamp
    parent_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., subject: _Optional[str] = ..., body: _Optional[str] = ..., author_name: _Optional[str] = ..., author_email: _Optional[str] = ..., author_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class NestedRepository(_message.Message):
    __slots__ = ("path", "kind", "head_commit", "branch", "uncommitted_files", "commits")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[NestedRepository.Kind]
        KIND_SUBMODULE: _ClassVar[NestedRepository.Kind]
        KIND_REPOSITORY: _ClassVar[NestedRepository.Kind]
        KIND_WORKTREE: _ClassVar[NestedRepository.Kind]
    KIND_UNSPECIFIED: NestedRepository.Kind
    KIND_SUBMODULE: NestedRepository.Kind
    KIND_REPOSITORY: NestedRepository.Kind
    KIND_WORKTREE: NestedRepository.Kind
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FILES_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: NestedRepository.Kind
    head_commit: str
    branch: str
    uncommitted_files: int
    commits: int
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[_Union[NestedRepository.Kind, str]] = ..., head_commit: _Optional[str] = ..., branch: _Optional[str] = ..., uncommitted_files: _Optional[int] = ..., commits: _Optional[int] = ...) -> None: ...

class SavedRepository(_message.Message):
    __slots__ = ("path", "saved_ref", "saved_commit")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    SAVED_COMMIT_FIELD_NUMBER: _ClassVar[int]
    path: str
    saved_ref: str
    saved_commit: str
    def __init__(self, path: _Optional[str] = ..., saved_ref: _Optional[str] = ..., saved_commit: _Optional[str] = ...) -> None: ...
