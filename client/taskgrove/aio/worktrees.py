"""Calls of WorktreeService."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from taskgrove import diffs, requests
from taskgrove.aio.connected import Connected
from taskgrove.diffs import Diff, DiffParts, FileDiff
from taskgrove.v1 import worktree_service_pb2 as worktrees_pb2
from taskgrove.v1.change_pb2 import ChangedFile, Commit
from taskgrove.v1.landing_pb2 import LandStrategy
from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.worktree_service_pb2_grpc import WorktreeServiceStub

if TYPE_CHECKING:
    # The stub that an asyncio channel makes has a type of its own, which only type checkers know.
    from taskgrove.v1.worktree_service_pb2_grpc import WorktreeServiceAsyncStub


class WorktreeCalls(Connected):
    """What a client can do with the work of tasks. `target_branch` None means the branch that it is meant for."""

    @functools.cached_property
    def _worktrees(self) -> WorktreeServiceAsyncStub:
        self._check_open()  # gRPC crashes when a stub is made for a closed channel.
        return WorktreeServiceStub(self._channel)

    async def get_worktree_status(
        self, task_id: str, *, target_branch: str | None = None
    ) -> worktrees_pb2.GetWorktreeStatusResponse:
        """Returns where the work of a task stands: against its target branch, and in its worktree."""
        request = worktrees_pb2.GetWorktreeStatusRequest(task_id=task_id, target_branch=target_branch or "")
        return await self._call(self._worktrees.GetWorktreeStatus, request, self._work_timeout)

    async def list_changed_files(
        self, task_id: str, *, target_branch: str | None = None, committed_only: bool = False, page_size: int = 500
    ) -> AsyncIterator[ChangedFile]:
        """Yields the files that the work of a task changes, ordered by path; of `page_size` a call, 500 at most."""
        request = worktrees_pb2.ListChangedFilesRequest(
            task_id=task_id, target_branch=target_branch or "", committed_only=committed_only, page_size=page_size
        )
        async for page in self._pages(self._worktrees.ListChangedFiles, request, self._work_timeout):
            for file in page.files:
                yield file

    async def iterate_diff(
        self,
        task_id: str,
        *,
        target_branch: str | None = None,
        committed_only: bool = False,
        paths: Sequence[str] = (),
        context_lines: int | None = None,
        max_patch_bytes: int = 0,
    ) -> AsyncIterator[diffs.Summary | FileDiff]:
        """Yields what is compared, and then each file with its patch, as they come.

        `max_patch_bytes` bounds the patch of each file; 0 means 1 MiB.
        """
        request = worktrees_pb2.DiffWorktreeRequest(
            task_id=task_id,
            target_branch=target_branch or "",
            committed_only=committed_only,
            paths=paths,
            context_lines=context_lines,
            max_patch_bytes=max_patch_bytes,
        )
        parts = DiffParts()
        async for message in self._stream(self._worktrees.DiffWorktree, request):
            for part in parts.receive(message):
                yield part
        parts.check()

    async def diff_worktree(
        self,
        task_id: str,
        *,
        target_branch: str | None = None,
        committed_only: bool = False,
        paths: Sequence[str] = (),
        context_lines: int | None = None,
        max_patch_bytes: int = 0,
    ) -> Diff:
        """Returns the work of a task as a diff, whole in memory; see `iterate_diff`."""
        parts = self.iterate_diff(
            task_id,
            target_branch=target_branch,
            committed_only=committed_only,
            paths=paths,
            context_lines=context_lines,
            max_patch_bytes=max_patch_bytes,
        )
        return diffs.whole([part async for part in parts])

    async def list_commits(
        self, task_id: str, *, target_branch: str | None = None, page_size: int = 0
    ) -> AsyncIterator[Commit]:
        """Yields the commits of a task that its target branch has not, the newest first."""
        request = worktrees_pb2.ListCommitsRequest(
            task_id=task_id, target_branch=target_branch or "", page_size=page_size
        )
        async for page in self._pages(self._worktrees.ListCommits, request, self._work_timeout):
            for commit in page.commits:
                yield commit

    async def check_land(
        self,
        task_id: str,
        *,
        target_branch: str | None = None,
        strategy: LandStrategy = LandStrategy.LAND_STRATEGY_MERGE,
    ) -> worktrees_pb2.CheckLandResponse:
        """Tells whether `land` would succeed, without touching anything."""
        request = worktrees_pb2.CheckLandRequest(task_id=task_id, target_branch=target_branch or "", strategy=strategy)
        return await self._call(self._worktrees.CheckLand, request, self._work_timeout)

    async def land(
        self,
        task_id: str,
        *,
        target_branch: str | None = None,
        strategy: LandStrategy = LandStrategy.LAND_STRATEGY_MERGE,
        message: str | None = None,
        expected_head: str | None = None,
        commit_uncommitted: bool = False,
        include_other_commits: bool = False,
        include_unpublished_submodules: bool = False,
        request_id: str | None = None,
    ) -> Task:
        """Lands the work of a resting task: brings its commits onto the target branch, or raises and moves nothing."""
        request = requests.land(
            task_id,
            target_branch=target_branch,
            strategy=strategy,
            message=message,
            expected_head=expected_head,
            commit_uncommitted=commit_uncommitted,
            include_other_commits=include_other_commits,
            include_unpublished_submodules=include_unpublished_submodules,
            request_id=request_id,
        )
        return (await self._call(self._worktrees.Land, request, self._work_timeout)).task

    async def push_branch(
        self,
        task_id: str,
        *,
        remote: str = "origin",
        remote_branch: str | None = None,
        force: bool = False,
        expected_head: str | None = None,
        request_id: str | None = None,
    ) -> worktrees_pb2.PushBranchResponse:
        """Pushes the work of a resting task to a branch of a remote repository."""
        request = requests.push_branch(
            task_id,
            remote=remote,
            remote_branch=remote_branch,
            force=force,
            expected_head=expected_head,
            request_id=request_id,
        )
        return await self._call(self._worktrees.PushBranch, request, self._work_timeout)

    async def discard_worktree(
        self, task_id: str, *, dry_run: bool = False, request_id: str | None = None
    ) -> worktrees_pb2.DiscardWorktreeResponse:
        """Removes the worktree and the branch of a resting task; what is not landed is saved to a ref first."""
        request = requests.discard_worktree(task_id, request_id, dry_run=dry_run)
        return await self._call(self._worktrees.DiscardWorktree, request, self._work_timeout)

    async def prune_worktrees(
        self,
        *,
        task_list_id: str | None = None,
        rested_for: timedelta | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> worktrees_pb2.PruneWorktreesResponse:
        """Removes the directories of worktrees whose time has come by the policies, or that rested for so long."""
        request = requests.prune_worktrees(task_list_id, rested_for, request_id, dry_run=dry_run)
        return await self._call(self._worktrees.PruneWorktrees, request, self._work_timeout)

    async def read_setup_log(self, task_id: str) -> bytes:
        """Returns what the list's setup command printed when the task's worktree was last made."""
        log = bytearray()
        while True:
            request = worktrees_pb2.ReadSetupLogRequest(task_id=task_id, offset=len(log))
            part = await self._call(self._worktrees.ReadSetupLog, request)
            log += part.data
            if not part.data:
                return bytes(log)
