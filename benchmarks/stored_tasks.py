"""Fills the database of a stopped server with tasks that it might have had."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from taskgrove_server.domain import ids
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.task import Subtask
from taskgrove_server.store import rows

#: Of so many tasks one waits; but more do of few tasks, so that a page of those that wait is full.
TO_ONE_QUEUED = 1000

_LEAST_QUEUED = 60

#: How many tasks of the large list have failed, wherever it stands: all of them are among its oldest.
RARE = 10

#: Microseconds since 1970 at which the first task was made, and from each to the next.
_FIRST, _PACE = 1_735_689_600_000_000, 20_000_000

_FAILURE = rows.from_failure(Failure(FailureKind.AGENT, "The agent gave up.", final=True))

_SUBTASKS = {
    ran: rows.from_subtasks((Subtask("Mend it", completed=ran), Subtask("Add a test", completed=ran)))
    for ran in (False, True)
}

_DESCRIPTION = "The report names the file and the line. Mend it, and add a test that fails without the change.\n" * 2

_TASK = (
    "INSERT INTO task (id, task_list_id, title, description, subtasks, overrides, state, queue_order, result, failure, "
    "directory, run_count, last_line, create_time, update_time, start_time, finish_time) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_WORKTREE = "INSERT INTO worktree (task_id, path, branch, base_commit, head_commit) VALUES (?, ?, ?, ?, ?)"


def fill(database: Path, count: int, large: str, others: Sequence[str]) -> None:
    """Adds tasks, each with its worktree. Half are of the list `large`; but for a few, all of these have succeeded."""
    chance = random.Random(count)  # noqa: S311 - the same tasks in every run
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        # A crash in the middle would leave nothing that anybody wants.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        tasks = [_id(chance) for _ in range(count)]
        # Made anew afterwards: that is faster than to keep them up for each row.
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''").fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.executemany(_TASK, _tasks(tasks, large, others, chance))
        connection.executemany(_WORKTREE, _worktrees(tasks, chance))
        for _, statement in indexes:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _tasks(
    tasks: Sequence[str], large: str, others: Sequence[str], chance: random.Random
) -> Iterator[tuple[object, ...]]:
    # Even, as every other task is of the large list, in which none waits.
    to_one_queued = min(TO_ONE_QUEUED, len(tasks) // _LEAST_QUEUED // 2 * 2)
    for number, task in enumerate(tasks, start=1):
        in_large = number % 2 == 1
        waits = number % to_one_queued == 0
        state = "queued" if waits else _state_at_rest(number, chance, in_large=in_large)
        made = _FIRST + number * _PACE
        ran = state != "queued"
        yield (
            task,
            large if in_large else chance.choice(others),
            f"Mend the {number}th finding of the report",
            _DESCRIPTION,
            _SUBTASKS[ran],
            "{}",
            state,
            number,
            "Mended, and covered by a test." if state == "succeeded" else None,
            _FAILURE if state == "failed" else None,
            f"/srv/taskgrove/worktrees/{task}" if ran else None,
            int(ran),
            500 if ran else 0,
            made,
            made + _PACE,
            made + 1_000_000 if ran else None,
            made + _PACE if ran else None,
        )


def _state_at_rest(number: int, chance: random.Random, *, in_large: bool) -> str:
    if in_large:
        return "failed" if number < 2 * RARE else "succeeded"
    return "succeeded" if (draw := chance.random()) < 0.8 else "failed" if draw < 0.95 else "cancelled"


def _worktrees(tasks: Iterable[str], chance: random.Random) -> Iterator[tuple[object, ...]]:
    for task in tasks:
        commits = (f"{chance.getrandbits(160):040x}", f"{chance.getrandbits(160):040x}")
        yield (task, f"/srv/taskgrove/worktrees/{task}", f"taskgrove/{task}-mend-the-finding-of-the-report", *commits)


def _id(chance: random.Random) -> str:
    return base64.b32encode(chance.randbytes(8)).decode().lower()[: ids.LENGTH]
