"""What a server does with the tasks that an earlier one left in their slots."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Container, Iterable
from pathlib import Path

from taskgrove_server.domain.ids import RunId
from taskgrove_server.domain.task import TaskState
from taskgrove_server.processes import sweeping
from taskgrove_server.runner.dispatcher import Dispatcher
from taskgrove_server.runner.flow import Flow
from taskgrove_server.runner.operations import Operations
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees.worktrees import Worktrees

log = logging.getLogger(__name__)


#: Seconds for which a branch that is being moved is waited for.
_PATIENCE = 10.0


def recover(
    store: Store,
    flow: Flow,
    operations: Operations,
    dispatcher: Dispatcher,
    worktrees: Worktrees,
    run_directories: Path,
) -> None:
    """Takes every such task up where it was, before the server begins to serve.

    One whose next run was not recorded yet goes back to its place in the queue; a run that goes on is adopted;
    a run that ended, meanwhile or before, is followed by what was to follow.
    """
    # Git goes on when its server is killed, and would meet the git of this one in the same worktree.
    sweeping.sweep_marked(worktrees.mark)
    if not sweeping.wait_for_marked(worktrees.moving_mark, _PATIENCE):
        log.warning("A git command that an earlier server began goes on")
    operations.settle()
    # Before any slot works: what it makes from then on is this server's own, and to stay.
    left = list(run_directories.iterdir()) if run_directories.is_dir() else []
    going_on: set[RunId] = set()
    for task in store.slots.holding():
        run = store.runs.latest(task.id)
        if task.state is TaskState.QUEUED or task.next_prompt is not None or run is None:
            if task.awaits_worktree:
                flow.discard(task)
            put_back = store.slots.requeue(task.id).result()
            log.info("Task %s had not begun, and is %s again", task.id, put_back.state)
        else:
            going_on.add(run.id)
            dispatcher.take_up(task, functools.partial(flow.take_up, run))
            log.info("Task %s is taken up with run %d", task.id, run.number)
    _tidy(left, going_on)


def _tidy(left: Iterable[Path], going_on: Container[str]) -> None:
    """Removes what a killed server left of runs that it was about to record, or had just closed."""
    for directory in left:
        if directory.name not in going_on:
            shutil.rmtree(directory, ignore_errors=True)
