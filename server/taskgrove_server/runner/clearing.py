"""Clears away what is no longer needed: discards and prunes worktrees, deletes tasks."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.ids import TaskId, TaskListId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import CleanUp, Removal, Worktree, WorktreeState
from taskgrove_server.runner.leftovers import Leftovers
from taskgrove_server.runner.log_files import LogFiles
from taskgrove_server.runner.operations import Operations
from taskgrove_server.runner.task_work import Place, TaskWork, git_errors
from taskgrove_server.store.requests import Answering
from taskgrove_server.store.store import Store
from taskgrove_server.store.task_rows import RestedSince, check_rested
from taskgrove_server.store.worktrees import Operation, OperationKind
from taskgrove_server.worktrees import aside, clearing, removing
from taskgrove_server.worktrees.work import Work
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)

#: Worktrees that one call prunes.
MOST = 500

#: Tasks that are looked at together.
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is left of a deleted task: where its work was saved, and what of its files could not be removed."""

    saved_ref: str | None = None
    leftover_path: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of a prune; `more` worktrees may be due."""

    removals: list[tuple[TaskId, Removal]]
    more: bool
    failures: int


@dataclass(frozen=True, slots=True)
class Due:
    """What is asked of a task that is deleted for its age: that it came to rest before.

    And what tells that the server stops: what has been set aside by then, the next one empties.
    """

    rested_before: datetime
    stopped: Callable[[], bool] = lambda: False


class Clearing:
    """Removes what people, or settings, do not want any more."""

    def __init__(
        self,
        store: Store,
        works: TaskWork,
        operations: Operations,
        worktrees: Worktrees,
        leftovers: Leftovers,
        log_files: LogFiles,
    ) -> None:
        self._store = store
        self._works = works
        self._operations = operations
        self._worktrees = worktrees
        self._leftovers = leftovers
        self._log_files = log_files
        #: Why worktrees could not be pruned, as the log says it.
        self._warned: dict[TaskId, str] = {}

    def discard(
        self, task_id: TaskId, *, dry_run: bool, answering: Answering[Removal] | None = None, due: Due | None = None
    ) -> tuple[Task, Removal]:
        """Removes worktree and branch; raises what DiscardWorktree lists, and RestedSince for a task that is not due.

        A dry run uses up no request id.
        """
        if dry_run:
            task = self._store.tasks.get(task_id)
            if not task.state.rests:
                raise errors.TaskActive(task_id, task.state)
            place = self._works.place_of(task)
            if place.worktree.state is WorktreeState.DISCARDED:
                return task, Removal(leftover_path=next(reversed(aside.of(place.worktree.path)), None))
            return task, self._discard(place, dry_run=True)
        key = answering.key if answering else None
        operation = Operation(OperationKind.REMOVING, request=key)
        with self._operations.on(task_id, operation, due.rested_before if due else None) as task:
            place = self._works.place_of(task)
            if place.worktree.state is WorktreeState.DISCARDED:
                removal = self._again(place.worktree, due)
                if answering:
                    self._store.requests.record(answering.key, task_id, answering.encode(removal)).result()
                return task, removal
            removal = self._discard(place, dry_run=False, due=due)
            answer = answering.encode(removal) if answering else None
            removed = self._store.worktrees.removed(
                task_id, WorktreeState.DISCARDED, removal.saved_ref, request=key, answer=answer
            ).result()
            log.info("The worktree of task %s was discarded: %s", task_id, _sentence(removal))
            return removed, removal

    def put_away(self, place: Place) -> str | None:
        """Removes the worktree of a task that a slot holds, and returns where its work was saved."""
        saved_ref = self._discard(place, dry_run=False).saved_ref
        self._store.worktrees.removed(place.task.id, WorktreeState.DISCARDED, saved_ref).result()
        return saved_ref

    def prune(
        self,
        task_list_id: TaskListId | None,
        rested_for: timedelta | None,
        *,
        dry_run: bool,
        stopped: Callable[[], bool] = lambda: False,
        answering: Answering[Pruned] | None = None,
    ) -> Pruned:
        """Removes the directories of worktrees that are due; raises TaskListNotFound.

        A dry run uses up no request id.
        """
        pruned = Pruned([], more=True, failures=0)
        for task in self._due(task_list_id, rested_for):
            if len(pruned.removals) >= MOST or stopped():
                break
            try:
                removal = self._prune(task.id, _so_far(pruned, task.id, answering), dry_run=dry_run)
                pruned.removals.append((task.id, removal))
            except (errors.TaskActive, errors.WorktreeBusy, errors.TaskNotFound):
                # Somebody has come to work on it.
                continue
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are pruned
                pruned = replace(pruned, failures=pruned.failures + 1)
                self._warn(task.id, error)
        else:
            pruned = replace(pruned, more=False)
        if answering:
            self._store.requests.record(answering.key, task_list_id or "", answering.encode(pruned)).result()
        return pruned

    def delete(
        self,
        task_id: TaskId,
        *,
        discard_worktree: bool,
        answering: Answering[Deleted] | None = None,
        due: Due | None = None,
    ) -> Deleted:
        """Deletes a task, and returns what is left of it.

        Raises what DeleteTask lists, and RestedSince for a task that is not due.
        """
        task = self._store.tasks.get(task_id)
        if not task.state.rests:
            raise errors.TaskActive(task_id, task.state)
        check_rested(task, due.rested_before if due else None)
        left = self._left(task)
        removal = Removal()
        if left is not None and not discard_worktree:
            raise left
        sandbox = str(task.directory) if left is not None and task.worktree is None else None
        # While the task can still be named if that fails.
        set_aside = aside.put(sandbox) if sandbox else None
        if left is not None and sandbox is None:
            try:
                _, removal = self.discard(task_id, dry_run=False, due=due)
            except errors.TaskListDeleted:
                if due is not None and task.worktree and task.worktree.state is WorktreeState.PRESENT:
                    # Nobody has asked for this one, and its repository may come back.
                    raise
                # With the list the way to the repository is gone; what is there stays there.
                log.warning(
                    "Task %s is deleted; its branch is left in a repository that is not known any more", task_id
                )
        # As far as it is known: what is set aside is emptied once the task cannot come back to it.
        deleted = Deleted(removal.saved_ref or _saved_before(task), set_aside or removal.leftover_path)
        try:
            logs = self._delete(task_id, deleted, answering, due)
        except (errors.TaskgroveError, RestedSince):
            if set_aside and sandbox:
                # It was continued meanwhile, and works there.
                with suppress(OSError):
                    Path(set_aside).rename(sandbox)
            raise
        log.info("Task %s was deleted%s", task_id, f"; its work is at {deleted.saved_ref}" if deleted.saved_ref else "")
        if set_aside:
            deleted = replace(deleted, leftover_path=self._emptied(set_aside, due).leftover_path)
            if answering:
                self._store.requests.record(answering.key, task_id, answering.encode(deleted)).result()
        if failure := self._log_files.remove(logs):
            log.warning("Task %s is deleted, but not all of its files, which is tried again: %s", task_id, failure)
        return deleted

    def _delete(
        self, task_id: TaskId, deleted: Deleted, answering: Answering[Deleted] | None, due: Due | None
    ) -> list[str]:
        rested_before = due.rested_before if due else None
        if answering is None:
            return self._store.tasks.delete(task_id, rested_before=rested_before).result()
        return self._store.tasks.delete(task_id, answering.key, answering.encode(deleted), rested_before).result()

    def _emptied(self, set_aside: str, due: Due | None) -> Removal:
        """Removes what was set aside, and tells what is left of it."""
        return self._told(removing.clear(set_aside, stopped=_stopped(due)), due)

    def _again(self, worktree: Worktree, due: Due | None = None) -> Removal:
        """Tries again to remove what was left of a worktree."""
        return self._told(removing.clear_all(worktree.path, stopped=_stopped(due)), due)

    def _told(self, leftover: removing.Leftover | None, due: Due | None) -> Removal:
        if leftover is None:
            return Removal()
        if not _stopped(due)():
            self._leftovers.tell(leftover.path, str(leftover))
        return Removal(leftover_path=leftover.path, leftover_reasons=str(leftover))

    def _left(self, task: Task) -> errors.WorktreePresent | None:
        """Returns what a task still has, as the error that it is for those who do not know."""
        worktree = task.worktree
        if worktree is None:
            sandbox = task.directory
            return errors.WorktreePresent(task.id, sandbox) if sandbox and _has_files(Path(sandbox)) else None
        if worktree.state is WorktreeState.PRESENT:
            return errors.WorktreePresent(task.id, worktree.path)
        if worktree.state is WorktreeState.DISCARDED:
            return None
        # Pruned: its branch has gone as well if all of it was landed.
        try:
            branch = self._discard(self._works.place_of(task), dry_run=True).branch
        except errors.TaskListDeleted:
            branch = worktree.branch
        return errors.WorktreePresent(task.id, worktree.path, branch) if branch else None

    def setup_log(self, task_id: TaskId) -> str:
        """Returns the path of a task's setup log, whether or not there is one."""
        return self._log_files.of_setup(task_id)

    def _discard(self, place: Place, *, dry_run: bool, due: Due | None = None) -> Removal:
        note = functools.partial(self._note, place.task.id)
        discard = functools.partial(clearing.discard, self._worktrees.git, dry_run=dry_run, note=note)
        return self._clear(place, discard, dry_run=dry_run, due=due)

    def _prune(self, task_id: TaskId, keeping: Answering[Removal] | None, *, dry_run: bool) -> Removal:
        note = functools.partial(self._note, task_id)
        prune = functools.partial(clearing.prune, self._worktrees.git, dry_run=dry_run, note=note)
        if dry_run:
            return self._clear(self._works.place(task_id), prune, dry_run=True)
        with self._operations.on(task_id, Operation(OperationKind.REMOVING)) as task:
            removal = self._clear(self._works.place_of(task), prune, dry_run=False)
            key, answer = (keeping.key, keeping.encode(removal)) if keeping else (None, None)
            removed = self._store.worktrees.removed(
                task_id, WorktreeState.PRUNED, removal.saved_ref, request=key, answer=answer
            )
            removed.result()
            log.info("The worktree of task %s was pruned: %s", task_id, _sentence(removal))
            return removal

    def _note(self, task_id: TaskId, saved_ref: str) -> None:
        """Records where work was saved before anything is removed: a server that is killed meanwhile has it then."""
        self._store.worktrees.saved(task_id, saved_ref).result()

    def _clear(
        self, place: Place, clear: Callable[[Work], Removal], *, dry_run: bool, due: Due | None = None
    ) -> Removal:
        """Does something to the work that there is, under the lock of its repository.

        What was set aside is emptied without it: that may take minutes.
        """
        with git_errors(), self._worktrees.locks.exclusively(place.repository):
            try:
                subject = self._works.look(place)
            except errors.WorkMissing:
                return Removal()
            removal = clear(subject)
        if dry_run or removal.path is None:
            return removal
        left = self._again(place.worktree, due)
        return replace(removal, leftover_path=left.leftover_path, leftover_reasons=left.leftover_reasons)

    def _warn(self, task_id: TaskId, error: Exception) -> None:
        # Housekeeping tries again each minute, and would fill the log.
        why = f"{type(error).__name__}: {error}"
        if self._warned.get(task_id) != why:
            self._warned[task_id] = why
            expected = isinstance(error, errors.TaskgroveError)
            log.warning(
                "The worktree of task %s could not be pruned: %s", task_id, error, exc_info=None if expected else error
            )

    def _due(self, task_list_id: TaskListId | None, rested_for: timedelta | None) -> Iterator[Task]:
        if task_list_id is None:
            task_lists = self._store.task_lists.all()
        else:
            task_lists = [self._store.task_lists.get(task_list_id)]
        now = clock.now()
        for task_list in task_lists:
            policy = task_list.worktree_settings.clean_up
            if rested_for is not None:
                policy = CleanUp(rested_after=rested_for)
            if task_list.working_dir is None or policy == CleanUp():
                continue
            after = 0
            while page := self._store.worktrees.resting(task_list.id, after, _PAGE):
                after = page[-1][0]
                yield from (task for _, task in page if _is_due(task, policy, now))


def _stopped(due: Due | None) -> Callable[[], bool]:
    return due.stopped if due else lambda: False


def _so_far(pruned: Pruned, task_id: TaskId, answering: Answering[Pruned] | None) -> Answering[Removal] | None:
    """Returns how it is kept what a prune has come to with one more removal, for when the server is killed then."""
    if answering is None:
        return None

    def encode(removal: Removal) -> bytes:
        return answering.encode(replace(pruned, removals=[*pruned.removals, (task_id, removal)]))

    return Answering(answering.key, encode)


def _sentence(removal: Removal) -> str:
    """Says what was removed and what was saved, for the log."""
    saved = f"saved at {removal.saved_ref} as {removal.saved_commit}" if removal.saved_ref else "with nothing to save"
    return f"branch {removal.branch or 'kept'}, {saved}{_left_over(removal)}"


def _left_over(removal: Removal) -> str:
    return f", not all of it: {removal.leftover_path} is left" if removal.leftover_path else ""


def _saved_before(task: Task) -> str | None:
    """Returns where the work of a task was saved when it was discarded, as by a call that was cut off after that."""
    worktree = task.worktree
    return worktree.saved_ref if worktree is not None and worktree.state is WorktreeState.DISCARDED else None


def _has_files(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    try:
        return any(directory.iterdir())
    except PermissionError:
        # Its agent has shut it.
        return True


def _is_due(task: Task, policy: CleanUp, now: datetime) -> bool:
    worktree = task.worktree
    if worktree is None or task.finish_time is None:
        return False
    if policy.rested_after is not None and now - task.finish_time >= policy.rested_after:
        return True
    landing = worktree.landing
    return (
        policy.landed_after is not None
        and landing is not None
        and worktree.head_commit in (None, landing.head_commit)
        and now - landing.land_time >= policy.landed_after
    )
