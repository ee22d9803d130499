"""Fills the database of a stopped server with tasks that it might have had."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from taskgrove_server.domain import ids
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.task import Subtask
from taskgrove_server.store import rows

#: Tasks to each one that waits: 0.1 percent wait.
TO_ONE_QUEUED = 1000

#: How many tasks of the large list have failed, wherever it stands: all of them are among its oldest.
RARE = 10

_LETTERS = sorted(ids.ALPHABET)

#: Microseconds since 1970 at which the first task was made, and from each to the next.
_FIRST, _PACE = 1_735_689_600_000_000, 20_000_000

_FAILURE = rows.from_failure(Failure(FailureKind.AGENT, "The agent gave up.", final=True))

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
        tasks = ["".join(chance.choices(_LETTERS, k=ids.LENGTH)) for _ in range(count)]
        connection.executemany(_TASK, _tasks(tasks, large, others, chance))
        connection.executemany(_WORKTREE, _worktrees(tasks, chance))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _tasks(
    tasks: Iterable[str], large: str, others: Sequence[str], chance: random.Random
) -> Iterator[tuple[object, ...]]:
    for number, task in enumerate(tasks, start=1):
        in_large = number % 2 == 1
        state = _state(number, chance, in_large=in_large)
        made = _FIRST + number * _PACE
        ran = state != "queued"
        yield (
            task,
            large if in_large else chance.choice(others),
            f"Mend the {number}th finding of the report",
            "The report names the file and the line. Mend it, and add a test that fails without the change.\n" * 2,
            rows.from_subtasks((Subtask("Mend it", completed=ran), Subtask("Add a test", completed=ran))),
            "{}",
            state,
            number,
            "Mended, and covered by a test." if state == "succeeded" else None,
            _FAILURE if state == "failed" else None,
            f"/srv/taskgrove/worktrees/{task}" if ran else None,
            int(ran),
            chance.randrange(50, 5000) if ran else 0,
            made,
            made + _PACE,
            made + 1_000_000 if ran else None,
            made + _PACE if ran else None,
        )


def _state(number: int, chance: random.Random, *, in_large: bool) -> str:
    if in_large:
        return "failed" if number < 2 * RARE else "succeeded"
    if number % TO_ONE_QUEUED == 0:
        return "queued"
    return chance.choices(("succeeded", "failed", "cancelled"), (80, 15, 5))[0]


def _worktrees(tasks: Iterable[str], chance: random.Random) -> Iterator[tuple[object, ...]]:
    for task in tasks:
        commits = (f"{chance.getrandbits(160):040x}", f"{chance.getrandbits(160):040x}")
        yield (task, f"/srv/taskgrove/worktrees/{task}", f"taskgrove/{task}-mend-the-finding-of-the-report", *commits)
