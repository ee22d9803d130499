"""WorktreeService: see worktree_service.proto for what each method promises."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

from taskgrove.v1 import worktree_service_pb2 as messages
from taskgrove.v1 import worktree_service_pb2_grpc
from taskgrove_server.api import conversions, paging, texts
from taskgrove_server.api import worktree_conversions as converted
from taskgrove_server.api.front import request_key
from taskgrove_server.api.offloading import Offloading
from taskgrove_server.api.repeating import Repeats, answering
from taskgrove_server.api.validation import worktrees as valid
from taskgrove_server.domain import errors
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Removal
from taskgrove_server.runner.clearing import Clearing, Pruned
from taskgrove_server.runner.landings import Landings, Pushed
from taskgrove_server.runner.review import Review
from taskgrove_server.store.requests import Recalled
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.changes import ChangedFile, Compared, Patch

_Diff = messages.DiffWorktreeResponse

#: Bytes of a message of a diff, and of the patch of a file unless the request says otherwise.
CHUNK = 128 << 10
LONGEST_PATCH = 1 << 20

#: Unchanged lines around a change, unless the request says otherwise.
CONTEXT_LINES = 3

#: Bytes of a setup log in one answer.
SETUP_LOG = 1 << 20

#: Bytes of what a remote repository said that are sent.
REMOTE_WORDS = 4096

_COMMIT_ID = re.compile(r"[0-9a-f]{40,64}\Z")


class WorktreeServicer(worktree_service_pb2_grpc.WorktreeServiceServicer):
    """Validates, has git asked off the event loop, converts."""

    def __init__(
        self,
        store: Store,
        repeats: Repeats,
        offloading: Offloading,
        review: Review,
        landings: Landings,
        clearing: Clearing,
    ) -> None:
        self._store = store
        self._repeats = repeats
        self._offload = offloading
        self._review = review
        self._landings = landings
        self._clearing = clearing

    async def GetWorktreeStatus(
        self, request: messages.GetWorktreeStatusRequest, context: Any
    ) -> messages.GetWorktreeStatusResponse:
        """Returns where the work of a task stands."""
        valid.work(request)
        status = await self._offload(self._review.status, TaskId(request.task_id), request.target_branch)
        return converted.from_status(status)

    async def ListChangedFiles(
        self, request: messages.ListChangedFilesRequest, context: Any
    ) -> messages.ListChangedFilesResponse:
        """Lists the files that the work of a task changes."""
        valid.listing(request)
        task_id = TaskId(request.task_id)
        skip = 0
        if position := paging.position(request, int, str, str):
            skip, base, tree = position
            _require_ids(base, tree)
            compared = Compared(base, tree, has_uncommitted=False)
        else:
            _, compared = await self._offload(
                self._review.compare, task_id, request.target_branch, committed_only=request.committed_only
            )
        listing = await self._offload(self._review.changed_files, task_id, compared)
        # One more than a page may have, which tells that there is a next one.
        following = listing.files[skip : skip + paging.size(request.page_size) + 1]
        rows = (((number, compared.base, compared.tree), file) for number, file in enumerate(following, skip + 1))
        page, token = paging.cut(request, rows, converted.from_changed_file)
        return messages.ListChangedFilesResponse(
            files=page,
            next_page_token=token,
            total_files=len(listing.files),
            total_insertions=listing.insertions,
            total_deletions=listing.deletions,
        )

    async def DiffWorktree(self, request: messages.DiffWorktreeRequest, context: Any) -> AsyncIterator[_Diff]:
        """Streams the work of a task as a unified diff."""
        valid.diff(request)
        task_id, paths = TaskId(request.task_id), list(request.paths)
        subject, compared = await self._offload(
            self._review.compare, task_id, request.target_branch, committed_only=request.committed_only
        )
        listing = await self._offload(self._review.changed_files, task_id, compared, paths)
        yield _Diff(
            summary=_Diff.Summary(
                base_commit=compared.base,
                head_commit=subject.head,
                has_uncommitted=compared.has_uncommitted,
                files=len(listing.files),
                insertions=listing.insertions,
                deletions=listing.deletions,
            )
        )
        items = self._review.patches(
            subject,
            compared,
            listing.files,
            paths,
            context_lines=request.context_lines if request.HasField("context_lines") else CONTEXT_LINES,
            longest=request.max_patch_bytes or LONGEST_PATCH,
        )
        async for message in self._offload.iterate(_responses(items), _some):
            yield message
        yield _Diff(end=_Diff.End())

    async def ListCommits(self, request: messages.ListCommitsRequest, context: Any) -> messages.ListCommitsResponse:
        """Lists the commits of a task that its target branch has not."""
        valid.listing(request)
        task_id = TaskId(request.task_id)
        if position := paging.position(request, int, str, str):
            skip, head, joined = position
            excluded = tuple(joined.split())
            _require_ids(head, *excluded)
        else:
            skip = 0
            head, excluded = await self._offload(self._review.commit_range, task_id, request.target_branch)
        most = paging.size(request.page_size) + 1
        found = await self._offload(self._review.commits, task_id, head, excluded, skip, most)
        rows = (((number, head, " ".join(excluded)), commit) for number, commit in enumerate(found, skip + 1))
        page, token = paging.cut(request, rows, converted.from_commit)
        return messages.ListCommitsResponse(commits=page, next_page_token=token)

    async def CheckLand(self, request: messages.CheckLandRequest, context: Any) -> messages.CheckLandResponse:
        """Tells whether Land would succeed."""
        valid.check_land(request)
        strategy = converted.to_strategy(request.strategy)
        check = await self._offload(self._review.check_land, TaskId(request.task_id), request.target_branch, strategy)
        return converted.from_land_check(check)

    async def Land(self, request: messages.LandRequest, context: Any) -> messages.LandResponse:
        """Lands the work of a resting task."""
        valid.land(request)
        key = request_key("Land", request)

        async def land() -> Task:
            return await self._offload.finish(
                self._landings.land,
                TaskId(request.task_id),
                target_branch=request.target_branch,
                strategy=converted.to_strategy(request.strategy),
                message=request.message,
                expected_head=request.expected_head,
                commit_uncommitted=request.commit_uncommitted,
                include_other_commits=request.include_other_commits,
                include_unpublished_submodules=request.include_unpublished_submodules,
                request=key,
            )

        task = await self._repeats.once(key, land, self._repeats.task)
        return messages.LandResponse(task=conversions.from_task(task))

    async def PushBranch(self, request: messages.PushBranchRequest, context: Any) -> messages.PushBranchResponse:
        """Pushes the work of a resting task to a branch of a remote repository."""
        valid.push(request)
        key = request_key("PushBranch", request)
        remote = request.remote or "origin"

        def told(pushed: Pushed) -> messages.PushBranchResponse:
            return messages.PushBranchResponse(
                remote=remote,
                remote_branch=pushed.remote_branch,
                commit=pushed.commit,
                remote_message=texts.cut(pushed.said, REMOTE_WORDS),
            )

        async def push() -> messages.PushBranchResponse:
            pushed = await self._offload(
                self._landings.push,
                TaskId(request.task_id),
                remote=remote,
                remote_branch=request.remote_branch,
                force=request.force,
                expected_head=request.expected_head,
                answering=answering(key, told),
            )
            return told(pushed)

        async def again(known: Recalled) -> messages.PushBranchResponse:
            return messages.PushBranchResponse.FromString(known.answer or b"")

        return await self._repeats.once(key, push, again, ends_with_callers=True)

    async def DiscardWorktree(
        self, request: messages.DiscardWorktreeRequest, context: Any
    ) -> messages.DiscardWorktreeResponse:
        """Removes the worktree and the branch of a resting task."""
        valid.discard(request)
        key = None if request.dry_run else request_key("DiscardWorktree", request)
        task_id = TaskId(request.task_id)

        def told(removal: Removal) -> messages.Removal:
            return converted.from_removal(task_id, removal)

        async def discard() -> messages.DiscardWorktreeResponse:
            task, removal = await self._offload.finish(
                self._clearing.discard,
                task_id,
                dry_run=request.dry_run,
                answering=answering(key, told),
            )
            return messages.DiscardWorktreeResponse(task=conversions.from_task(task), removal=told(removal))

        async def again(known: Recalled) -> messages.DiscardWorktreeResponse:
            return messages.DiscardWorktreeResponse(
                task=conversions.from_task(await self._repeats.task(known)),
                removal=messages.Removal.FromString(known.answer or b""),
            )

        return await self._repeats.once(key, discard, again)

    async def PruneWorktrees(
        self, request: messages.PruneWorktreesRequest, context: Any
    ) -> messages.PruneWorktreesResponse:
        """Removes the directories of worktrees whose time has come."""
        valid.prune(request)
        key = None if request.dry_run else request_key("PruneWorktrees", request)

        async def prune() -> messages.PruneWorktreesResponse:
            pruned = await self._offload.finish(
                self._clearing.prune,
                TaskListId(request.task_list_id) if request.task_list_id else None,
                converted.to_span(request, "rested_for"),
                dry_run=request.dry_run,
                stopped=lambda: self._offload.closing,
                answering=answering(key, _pruned),
            )
            return _pruned(pruned)

        async def again(known: Recalled) -> messages.PruneWorktreesResponse:
            return messages.PruneWorktreesResponse.FromString(known.answer or b"")

        return await self._repeats.once(key, prune, again)

    async def ReadSetupLog(self, request: messages.ReadSetupLogRequest, context: Any) -> messages.ReadSetupLogResponse:
        """Returns a part of what the list's setup command printed."""
        valid.read_setup_log(request)
        return await self._offload(self._read_setup_log, TaskId(request.task_id), request.offset)

    def _read_setup_log(self, task_id: TaskId, offset: int) -> messages.ReadSetupLogResponse:
        task = self._store.tasks.get(task_id)
        return _read_setup_log(task.id, Path(self._clearing.setup_log(task.id)), offset)


def _pruned(pruned: Pruned) -> messages.PruneWorktreesResponse:
    removals = [converted.from_removal(task_id, removal) for task_id, removal in pruned.removals]
    return messages.PruneWorktreesResponse(removals=removals, more=pruned.more, failures=pruned.failures)


def _require_ids(*ids: str) -> None:
    """Raises InvalidPageToken for what a made-up token holds: git must not take it for an option."""
    if not all(_COMMIT_ID.match(one) for one in ids):
        raise errors.InvalidPageToken


def _responses(items: Generator[ChangedFile | Patch]) -> Generator[_Diff]:
    """Yields messages of files and patches, with as much of a patch in each as it may have."""
    data = bytearray()
    try:
        for item in items:
            if isinstance(item, Patch):
                data += item.data
                while len(data) >= CHUNK or (item.truncated and data):
                    yield _Diff(patch=_Diff.Patch(data=bytes(data[:CHUNK])))
                    del data[:CHUNK]
                if item.truncated:
                    yield _Diff(patch=_Diff.Patch(truncated=True))
                continue
            if data:
                yield _Diff(patch=_Diff.Patch(data=bytes(data)))
                data.clear()
            yield _Diff(file=converted.from_changed_file(item))
        if data:
            yield _Diff(patch=_Diff.Patch(data=bytes(data)))
    finally:
        items.close()


def _some(messages_: Generator[_Diff]) -> list[_Diff]:
    """Takes messages up to about a chunk's size; none in the end."""
    taken: list[_Diff] = []
    size = 0
    for message in messages_:
        taken.append(message)
        size += message.ByteSize()
        if size >= CHUNK:
            break
    return taken


def _read_setup_log(task_id: TaskId, path: Path, offset: int) -> messages.ReadSetupLogResponse:
    try:
        with path.open("rb") as log:
            size = path.stat().st_size
            log.seek(min(offset, size))
            return messages.ReadSetupLogResponse(data=log.read(SETUP_LOG), size=size)
    except FileNotFoundError:
        raise errors.SetupLogNotFound(task_id) from None
