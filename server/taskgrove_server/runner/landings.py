"""Lands and pushes the work of resting tasks, so that a server that is killed meanwhile leaves a truth to be found."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.domain.task import Task
from taskgrove_server.domain.worktree import Landing, LandStrategy
from taskgrove_server.runner.operations import Operations
from taskgrove_server.runner.task_work import Place, TaskWork, git_errors
from taskgrove_server.store.requests import Answering, RequestKey
from taskgrove_server.store.store import Store
from taskgrove_server.store.worktrees import Operation, OperationKind
from taskgrove_server.worktrees import landing, moves, pushing, work
from taskgrove_server.worktrees.landing import Wish
from taskgrove_server.worktrees.nested import publication
from taskgrove_server.worktrees.staging import Standing
from taskgrove_server.worktrees.work import Work
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of a push: the branch of the remote, the commit that it has, and what the remote repository said."""

    remote_branch: str
    commit: str
    said: str


class Landings:
    """Lands and pushes."""

    def __init__(self, store: Store, works: TaskWork, operations: Operations, worktrees: Worktrees) -> None:
        self._store = store
        self._works = works
        self._operations = operations
        self._worktrees = worktrees

    def land(
        self,
        task_id: TaskId,
        *,
        target_branch: str,
        strategy: LandStrategy,
        message: str,
        expected_head: str,
        commit_uncommitted: bool,
        include_other_commits: bool,
        include_unpublished_submodules: bool,
        request: RequestKey | None,
    ) -> Task:
        """Lands; raises what LandRequest's method lists, and then nothing has moved."""
        operation = Operation(OperationKind.LANDING, request=request)
        with self._operations.on(task_id, operation) as task, git_errors():
            place = self._works.place_of(task)
            subject = self._works.look(place, target_branch)
            _expect(subject, expected_head)
            standing = work.standing(self._worktrees.git, subject)
            landing.require_finished(self._worktrees.git, subject, standing)
            subject = self._committed(place, subject, target_branch, standing, commit=commit_uncommitted)
            wish = Wish(strategy, message or _message(place, strategy), include_other_commits)
            with self._worktrees.locks.exclusively(place.repository):
                # Anew, under the lock: another landing may have moved the target. The work has to be the same.
                expected = subject.head
                subject = self._works.look(place, target_branch)
                _expect(subject, expected)
                coming = landing.coming(self._worktrees.git, subject)
                planned = landing.plan(self._worktrees.git, subject, wish, coming, task.create_time)
                commit = landing.made(self._worktrees.git, subject, planned, wish)
                unpublished = publication.unpublished(self._worktrees.git, subject)
                if unpublished and not include_unpublished_submodules:
                    raise publication.refusal(subject, unpublished[0])
                publication.bring(self._worktrees.git, subject, unpublished)
                # Last, for it holds for the moment only.
                move = moves.plan(self._worktrees.git, place.repository, planned.target, commit)
                done = Landing(planned.target.name, commit, subject.head, strategy, clock.now())
                noted = Operation(OperationKind.LANDING, done, request)
                self._store.worktrees.note(task_id, noted).result()
                reason = f"taskgrove: land task {task_id}"
                moves.make(self._worktrees.git, self._worktrees.moving_git, place.repository, move, reason)
                log.info("Task %s has landed on %s as %s", task_id, done.target_branch, done.commit)
                return self._store.worktrees.landed(task_id, done, request).result()

    def push(
        self,
        task_id: TaskId,
        *,
        remote: str,
        remote_branch: str,
        force: bool,
        expected_head: str,
        answering: Answering[Pushed] | None = None,
    ) -> Pushed:
        """Pushes; raises what PushBranch lists.

        A server that is killed before it has recorded that pushes again when it is asked again, of which git says that
        the branch is there already.
        """
        key = answering.key if answering else None
        with self._operations.on(task_id, Operation(OperationKind.PUSHING, request=key)) as task, git_errors():
            place = self._works.place_of(task)
            subject = self._works.look(place)
            _expect(subject, expected_head)
            standing = work.standing(self._worktrees.git, subject)
            self._committed(place, subject, "", standing, commit=False)
            branch = remote_branch or place.worktree.branch
            said = pushing.push(self._worktrees.git, place.repository, remote, subject.head, branch, force=force)
            pushed = Pushed(branch, subject.head, said)
            log.info("Task %s was pushed to %s as %s: commit %s", task_id, remote, branch, subject.head)
            if answering:
                self._store.requests.record(answering.key, task_id, answering.encode(pushed)).result()
            return pushed

    def _committed(self, place: Place, subject: Work, target_branch: str, standing: Standing, *, commit: bool) -> Work:
        """Returns the work with everything committed; raises WorktreeDirty when that may not be done."""
        files = standing.uncommitted
        if not files:
            return subject
        if not commit:
            raise errors.WorktreeDirty(place.task.id, place.worktree.path, len(files))
        head = self._worktrees.commit(
            place.worktree,
            title=place.task.title,
            task_id=place.task.id,
            task_list_title=place.task_list_title,
            run_number=place.task.run_count,
        )
        self._store.worktrees.committed(place.task.id, head).result()
        return self._works.look(place, target_branch)


def _expect(subject: Work, expected_head: str) -> None:
    if expected_head and expected_head != subject.head:
        raise errors.BranchMoved(subject.worktree.branch, subject.head)


def _message(place: Place, strategy: LandStrategy) -> str:
    task = place.task
    if strategy is LandStrategy.SQUASH:
        subject, body = task.title, f"{task.description.strip()}\n\n" if task.description.strip() else ""
    else:
        subject, body = f"Merge task: {task.title}", f"Brings in {place.worktree.branch}.\n\n"
    return f"{subject}\n\n{body}Taskgrove-Task: {task.id}\n"
