import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from taskgrove.v1 import change_pb2 as _change_pb2
from taskgrove.v1 import landing_pb2 as _landing_pb2
from taskgrove.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetWorktreeStatusRequest(_message.Message):
    __slots__ = ("task_id", "target_branch")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ...) -> None: ...

class GetWorktreeStatusResponse(_message.Message):
    __slots__ = ("worktree", "present", "target_branch", "base_commit", "head_commit", "ahead", "behind", "uncommitted_files", "landed", "size_bytes", "nested_repositories")
    WORKTREE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FILES_FIELD_NUMBER: _ClassVar[int]
    LANDED_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NESTED_REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    worktree: _task_pb2.Worktree
    present: bool
    target_branch: str
    base_commit: str
    head_commit: str
    ahead: int
    behind: int
    uncommitted_files: int
    landed: bool
    size_bytes: int
    nested_repositories: _containers.RepeatedCompositeFieldContainer[_change_pb2.NestedRepository]
    def __init__(self, worktree: _Optional[_Union[_task_pb2.Worktree, _Mapping]] = ..., present: bool = ..., target_branch: _Optional[str] = ..., base_commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., ahead: _Optional[int] = ..., behind: _Optional[int] = ..., uncommitted_files: _Optional[int] = ..., landed: bool = ..., size_bytes: _Optional[int] = ..., nested_repositories: _Optional[_Iterable[_Union[_change_pb2.NestedRepository, _Mapping]]] = ...) -> None: ...

class ListChangedFilesRequest(_message.Message):
    __slots__ = ("task_id", "target_branch", "committed_only", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    committed_only: bool
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ..., committed_only: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListChangedFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token", "total_files", "total_insertions", "total_deletions")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_INSERTIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DELETIONS_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[_change_pb2.ChangedFile]
    next_page_token: str
    total_files: int
    total_insertions: int
    total_deletions: int
    def __init__(self, files: _Optional[_Iterable[_Union[_change_pb2.ChangedFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_files: _Optional[int] = ..., total_insertions: _Optional[int] = ..., total_deletions: _Optional[int] = ...) -> None: ...

class DiffWorktreeRequest(_message.Message):
    __slots__ = ("task_id", "target_branch", "committed_only", "paths", "context_lines", "max_patch_bytes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_ONLY_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LINES_FIELD_NUMBER: _ClassVar[int]
    MAX_PATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    committed_only: bool
    paths: _containers.RepeatedScalarFieldContainer[str]
    context_lines: int
    max_patch_bytes: int
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ..., committed_only: bool = ..., paths: _Optional[_Iterable[str]] = ..., context_lines: _Optional[int] = ..., max_patch_bytes: _Optional[int] = ...) -> None: ...

class DiffWorktreeResponse(_message.Message):
    __slots__ = ("summary", "file", "patch", "end")
    class Summary(_message.Message):
        __slots__ = ("base_commit", "head_commit", "has_uncommitted", "files", "insertions", "deletions")
        BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
        HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
        HAS_UNCOMMITTED_FIELD_NUMBER: _ClassVar[int]
        FILES_FIELD_NUMBER: _ClassVar[int]
        INSERTIONS_FIELD_NUMBER: _ClassVar[int]
        DELETIONS_FIELD_NUMBER: _ClassVar[int]
        base_commit: str
        head_commit: str
        has_uncommitted: bool
        files: int
        insertions: int
        deletions: int
        def __init__(self, base_commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., has_uncommitted: bool = ..., files: _Optional[int] = ..., insertions: _Optional[int] = ..., deletions: _Optional[int] = ...) -> None: ...
    class Patch(_message.Message):
        __slots__ = ("data", "truncated")
        DATA_FIELD_NUMBER: _ClassVar[int]
        TRUNCATED_FIELD_NUMBER: _ClassVar[int]
        data: bytes
        truncated: bool
        def __init__(self, data: _Optional[bytes] = ..., truncated: bool = ...) -> None: ...
    class End(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    summary: DiffWorktreeResponse.Summary
    file: _change_pb2.ChangedFile
    patch: DiffWorktreeResponse.Patch
    end: DiffWorktreeResponse.End
    def __init__(self, summary: _Optional[_Union[DiffWorktreeResponse.Summary, _Mapping]] = ..., file: _Optional[_Union[_change_pb2.ChangedFile, _Mapping]] = ..., patch: _Optional[_Union[DiffWorktreeResponse.Patch, _Mapping]] = ..., end: _Optional[_Union[DiffWorktreeResponse.End, _Mapping]] = ...) -> None: ...

class ListCommitsRequest(_message.Message):
    __slots__ = ("task_id", "target_branch", "page_size", "page_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    page_size: int
    page_token: str
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCommitsResponse(_message.Message):
    __slots__ = ("commits", "next_page_token")
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    commits: _containers.RepeatedCompositeFieldContainer[_change_pb2.Commit]
    next_page_token: str
    def __init__(self, commits: _Optional[_Iterable[_Union[_change_pb2.Commit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckLandRequest(_message.Message):
    __slots__ = ("task_id", "target_branch", "strategy")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    strategy: _landing_pb2.LandStrategy
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ..., strategy: _Optional[_Union[_landing_pb2.LandStrategy, str]] = ...) -> None: ...

class CheckLandResponse(_message.Message):
    __slots__ = ("can_land", "obstacle", "conflicting_files", "target_branch", "target_commit", "head_commit", "commits", "checkout_path", "message", "blocking_files", "remedies", "other_commits", "other_commit_count", "nested_repositories")
    class Obstacle(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OBSTACLE_UNSPECIFIED: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_TASK_ACTIVE: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_NOTHING_TO_LAND: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_CONFLICT: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_WORKTREE_DIRTY: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_CHECKOUT_DIRTY: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_NO_TARGET_BRANCH: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_FILES_IN_THE_WAY: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_TARGET_BUSY: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_OTHER_COMMITS: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_WORK_UNFINISHED: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_MERGES_NOT_REBASABLE: _ClassVar[CheckLandResponse.Obstacle]
        OBSTACLE_UNPUBLISHED_SUBMODULE: _ClassVar[CheckLandResponse.Obstacle]
    OBSTACLE_UNSPECIFIED: CheckLandResponse.Obstacle
    OBSTACLE_TASK_ACTIVE: CheckLandResponse.Obstacle
    OBSTACLE_NOTHING_TO_LAND: CheckLandResponse.Obstacle
    OBSTACLE_CONFLICT: CheckLandResponse.Obstacle
    OBSTACLE_WORKTREE_DIRTY: CheckLandResponse.Obstacle
    OBSTACLE_CHECKOUT_DIRTY: CheckLandResponse.Obstacle
    OBSTACLE_NO_TARGET_BRANCH: CheckLandResponse.Obstacle
    OBSTACLE_FILES_IN_THE_WAY: CheckLandResponse.Obstacle
    OBSTACLE_TARGET_BUSY: CheckLandResponse.Obstacle
    OBSTACLE_OTHER_COMMITS: CheckLandResponse.Obstacle
    OBSTACLE_WORK_UNFINISHED: CheckLandResponse.Obstacle
    OBSTACLE_MERGES_NOT_REBASABLE: CheckLandResponse.Obstacle
    OBSTACLE_UNPUBLISHED_SUBMODULE: CheckLandResponse.Obstacle
    class Remedy(_message.Message):
        __slots__ = ("description", "command")
        DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        description: str
        command: str
        def __init__(self, description: _Optional[str] = ..., command: _Optional[str] = ...) -> None: ...
    CAN_LAND_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_FILES_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BLOCKING_FILES_FIELD_NUMBER: _ClassVar[int]
    REMEDIES_FIELD_NUMBER: _ClassVar[int]
    OTHER_COMMITS_FIELD_NUMBER: _ClassVar[int]
    OTHER_COMMIT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NESTED_REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    can_land: bool
    obstacle: CheckLandResponse.Obstacle
    conflicting_files: _containers.RepeatedScalarFieldContainer[str]
    target_branch: str
    target_commit: str
    head_commit: str
    commits: int
    checkout_path: str
    message: str
    blocking_files: _containers.RepeatedScalarFieldContainer[str]
    remedies: _containers.RepeatedCompositeFieldContainer[CheckLandResponse.Remedy]
    other_commits: _containers.RepeatedCompositeFieldContainer[_change_pb2.Commit]
    other_commit_count: int
    nested_repositories: _containers.RepeatedCompositeFieldContainer[_change_pb2.NestedRepository]
    def __init__(self, can_land: bool = ..., obstacle: _Optional[_Union[CheckLandResponse.Obstacle, str]] = ..., conflicting_files: _Optional[_Iterable[str]] = ..., target_branch: _Optional[str] = ..., target_commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., commits: _Optional[int] = ..., checkout_path: _Optional[str] = ..., message: _Optional[str] = ..., blocking_files: _Optional[_Iterable[str]] = ..., remedies: _Optional[_Iterable[_Union[CheckLandResponse.Remedy, _Mapping]]] = ..., other_commits: _Optional[_Iterable[_Union[_change_pb2.Commit, _Mapping]]] = ..., other_commit_count: _Optional[int] = ..., nested_repositories: _Optional[_Iterable[_Union[_change_pb2.NestedRepository, _Mapping]]] = ...) -> None: ...

class LandRequest(_message.Message):
    __slots__ = ("task_id", "target_branch", "strategy", "message", "expected_head", "commit_uncommitted", "request_id", "include_other_commits", "include_unpublished_submodules")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_BRANCH_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_HEAD_FIELD_NUMBER: _ClassVar[int]
    COMMIT_UNCOMMITTED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_OTHER_COMMITS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNPUBLISHED_SUBMODULES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    target_branch: str
    strategy: _landing_pb2.LandStrategy
    message: str
    expected_head: str
    commit_uncommitted: bool
    request_id: str
    include_other_commits: bool
    include_unpublished_submodules: bool
    def __init__(self, task_id: _Optional[str] = ..., target_branch: _Optional[str] = ..., strategy: _Optional[_Union[_landing_pb2.LandStrategy, str]] = ..., message: _Optional[str] = ..., expected_head: _Optional[str] = ..., commit_uncommitted: bool = ..., request_id: _Optional[str] = ..., include_other_commits: bool = ..., include_unpublished_submodules: bool = ...) -> None: ...

class LandResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class PushBranchRequest(_message.Message):
    __slots__ = ("task_id", "remote", "remote_branch", "force", "expected_head", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    REMOTE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_HEAD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    remote: str
    remote_branch: str
    force: bool
    expected_head: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., remote: _Optional[str] = ..., remote_branch: _Optional[str] = ..., force: bool = ..., expected_head: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PushBranchResponse(_message.Message):
    __slots__ = ("remote", "remote_branch", "commit", "remote_message")
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    REMOTE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    REMOTE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    remote: str
    remote_branch: str
    commit: str
    remote_message: str
    def __init__(self, remote: _Optional[str] = ..., remote_branch: _Optional[str] = ..., commit: _Optional[str] = ..., remote_message: _Optional[str] = ...) -> None: ...

class DiscardWorktreeRequest(_message.Message):
    __slots__ = ("task_id", "dry_run", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dry_run: bool
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., dry_run: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DiscardWorktreeResponse(_message.Message):
    __slots__ = ("task", "removal")
    TASK_FIELD_NUMBER: _ClassVar[int]
    REMOVAL_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    removal: Removal
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., removal: _Optional[_Union[Removal, _Mapping]] = ...) -> None: ...

class Removal(_message.Message):
    __slots__ = ("task_id", "path", "branch", "unlanded_commits", "uncommitted_files", "saved_ref", "saved_commit", "nested_repositories", "saved_repositories", "leftover_path")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    UNLANDED_COMMITS_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FILES_FIELD_NUMBER: _ClassVar[int]
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    SAVED_COMMIT_FIELD_NUMBER: _ClassVar[int]
    NESTED_REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    SAVED_REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    LEFTOVER_PATH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    path: str
    branch: str
    unlanded_commits: int
    uncommitted_files: int
    saved_ref: str
    saved_commit: str
    nested_repositories: _containers.RepeatedCompositeFieldContainer[_change_pb2.NestedRepository]
    saved_repositories: _containers.RepeatedCompositeFieldContainer[_change_pb2.SavedRepository]
    leftover_path: str
    def __init__(self, task_id: _Optional[str] = ..., path: _Optional[str] = ..., branch: _Optional[str] = ..., unlanded_commits: _Optional[int] = ..., uncommitted_files: _Optional[int] = ..., saved_ref: _Optional[str] = ..., saved_commit: _Optional[str] = ..., nested_repositories: _Optional[_Iterable[_Union[_change_pb2.NestedRepository, _Mapping]]] = ..., saved_repositories: _Optional[_Iterable[_Union[_change_pb2.SavedRepository, _Mapping]]] = ..., leftover_path: _Optional[str] = ...) -> None: ...

class PruneWorktreesRequest(_message.Message):
    __slots__ = ("task_list_id", "rested_for", "dry_run", "request_id")
    TASK_LIST_ID_FIELD_NUMBER: _ClassVar[int]
    RESTED_FOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_list_id: str
    rested_for: _duration_pb2.Duration
    dry_run: bool
    request_id: str
    def __init__(self, task_list_id: _Optional[str] = ..., rested_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dry_run: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class PruneWorktreesResponse(_message.Message):
    __slots__ = ("removals", "more", "failures")
    REMOVALS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    removals: _containers.RepeatedCompositeFieldContainer[Removal]
    more: bool
    failures: int
    def __init__(self, removals: _Optional[_Iterable[_Union[Removal, _Mapping]]] = ..., more: bool = ..., failures: _Optional[int] = ...) -> None: ...

class ReadSetupLogRequest(_message.Message):
    __slots__ = ("task_id", "offset")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    offset: int
    def __init__(self, task_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadSetupLogResponse(_message.Message):
    __slots__ = ("data", "size")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    size: int
    def __init__(self, data: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...
