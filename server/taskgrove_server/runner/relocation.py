"""What a server does first in a data directory that was copied from another, or moved.

A copy has the original's tasks, but none of what belongs to them outside of the directory: the agents that are at work,
the branches, and what the repositories know of the worktrees. It gives all of that up, before anything else is done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from taskgrove_server import originals
from taskgrove_server.domain import errors
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.run import Outcome, Run, RunState
from taskgrove_server.domain.task import Task, TaskState
from taskgrove_server.domain.worktree import Worktree, WorktreeState
from taskgrove_server.journal.journal import Journal
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import commands, copies, git_dirs, saving
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)

#: Tasks that are looked at, and changed, together.
_PAGE = 500

_ACTIVE = TaskFilter(states=frozenset({TaskState.QUEUED, TaskState.RUNNING}))


class Relocation:
    """Makes a data directory ready for its place. What a killed server has begun of that, the next one goes on with."""

    def __init__(self, store: Store, journal: Journal, worktrees: Worktrees) -> None:
        self._store = store
        self._journal = journal
        self._worktrees = worktrees

    def follow_move(self, identity: str, run_directories: Path) -> None:
        """Has the repositories know where the worktrees are now, and closes runs of which nothing but a row came."""

        def is_copy(worktree: str) -> bool:
            return originals.is_unstarted_copy(str(Path(worktree).parent.parent), identity)

        for task in self._with_worktrees():
            if task.worktree is not None and task.worktree.state is WorktreeState.PRESENT:
                try:
                    self._worktrees.follow(task.worktree, is_copy)
                except (commands.GitFailed, OSError) as error:
                    # It is mended when it is next used.
                    log.warning("The repository of %s does not know its place yet: %s", task.worktree.path, error)
        for run in self._going_on():
            if not (run_directories / run.id).is_dir():
                message = "The run was cut off: its data directory was restored. Continue the task to go on."
                self._close(run, Failure(FailureKind.INTERRUPTED, message))

    def leave_original(self, original: str, worktrees: Path) -> None:
        """Gives up, in the copy, all that is the original's."""
        set_aside = copies.set_aside(worktrees)
        if set_aside is not None:
            log.warning("The files of the copied worktrees are in %s: remove that once nobody needs them", set_aside)
        runs = list(self._going_on())
        for run in runs:
            self._close(run, Failure(FailureKind.INTERRUPTED, _left_to(original)))
        tasks = 0
        while page := self._store.tasks.page(_ACTIVE, Order.OLDEST_FIRST, None, _PAGE):
            _wait(self._rest(task, original) for _, task in page)
            tasks += len(page)
        tips: dict[str, dict[str, str]] = {}
        left = 0
        for page_of in _paged(self._with_worktrees()):
            owned = [(task, self._owned(task, task.worktree, tips)) for task in page_of if task.worktree is not None]
            _wait(self._store.worktrees.replace(task.id, worktree) for task, worktree in owned)
            left += len(owned)
        log.warning(
            "Left to %s: %d tasks that waited or ran, %d runs and %d worktrees", original, tasks, len(runs), left
        )

    def _going_on(self) -> Iterator[Run]:
        """Yields the runs that went on when the directory was last used."""
        for task in self._store.slots.holding():
            run = self._store.runs.latest(task.id)
            if run is not None and run.state is RunState.RUNNING:
                yield run

    def _close(self, run: Run, failure: Failure) -> None:
        """Closes a run whose processes are none of this server's; its lines count."""
        self._journal.follow(run, lambda _line: None)
        extent = self._journal.end(run)
        outcome = Outcome(failure=failure, session_id=run.session_id)
        self._store.runs.finish(run, outcome, extent.lines, extent.size, log_lost=extent.lost).result()
        self._journal.release(run)

    def _rest(self, task: Task, original: str) -> Future[Task]:
        words = _left_to(original)
        if task.next_prompt is not None:
            words += f" It was to be continued with:\n\n{task.next_prompt}"
        return self._store.slots.rest(task.id, TaskState.FAILED, failure=Failure(FailureKind.INTERRUPTED, words))

    def _with_worktrees(self) -> Iterator[Task]:
        after = 0
        while page := self._store.worktrees.page(after, _PAGE):
            after = page[-1][0]
            yield from (task for _, task in page)

    def _owned(self, task: Task, worktree: Worktree, tips: dict[str, dict[str, str]]) -> Worktree:
        """Returns what takes the place of a worktree: one that begins where the branch of the original is now."""
        path, branch = self._worktrees.own_names(task.id, worktree)
        if branch == worktree.branch or worktree.state is WorktreeState.DISCARDED:
            return replace(worktree, path=path, branch=branch)
        repository = self._repository(task, worktree)
        tip = self._tips(repository, tips).get(worktree.branch)
        return replace(
            worktree,
            path=path,
            branch=branch,
            head_commit=tip or worktree.head_commit or worktree.base_commit,
            saved_ref=self._saved_ref(repository, worktree, tip),
            state=WorktreeState.PRUNED,
        )

    def _repository(self, task: Task, worktree: Worktree) -> str | None:
        """Returns a repository that is there, None when it is not."""
        repository = worktree.common_dir
        if repository is None:
            with suppress(errors.TaskListNotFound):
                repository = self._store.task_lists.get(task.task_list_id).working_dir
        with suppress(OSError):
            return repository if repository is not None and git_dirs.read(repository) is not None else None
        return None

    def _tips(self, repository: str | None, tips: dict[str, dict[str, str]]) -> dict[str, str]:
        """Returns the heads of a repository's branches, as they were when it was first looked at."""
        if repository is not None and repository not in tips:
            tips[repository] = {}
            # What is recorded has to do where git does not tell.
            with suppress(commands.GitFailed):
                tips[repository] = self._worktrees.tips(repository)
        return tips.get(repository or "", {})

    def _saved_ref(self, repository: str | None, worktree: Worktree, tip: str | None) -> str | None:
        """Returns where work was saved, unless the task has gone on from there: a new worktree begins with it."""
        if worktree.state is WorktreeState.PRESENT:
            return None
        if repository is not None and tip is not None:
            with suppress(commands.GitFailed):
                saved = saving.Saved.find(self._worktrees.git, repository, worktree.saved_ref)
                return worktree.saved_ref if saved is not None and saved.head == tip else None
        return worktree.saved_ref


def _left_to(original: str) -> str:
    return (
        f"The task waited or was at work when this data directory was copied from {original!r}, and is left to that "
        "one. Continue or retry it to have it done here as well."
    )


def _wait(changes: Iterable[Future[Task]]) -> None:
    # All of them first: they share commits.
    for change in list(changes):
        change.result()


def _paged(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    page: list[Task] = []
    for task in tasks:
        page.append(task)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
