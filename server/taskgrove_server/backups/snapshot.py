"""The database of a backup: a copy of what the live one held at one moment, made beside a server that goes on writing.

One read transaction lasts for the whole copy. In WAL mode it holds up nobody, and what is written meanwhile does not
have the copy begin anew, as it does where each step of SQLite's backup begins a transaction of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from taskgrove_server.backups.refusals import SourceUnusable
from taskgrove_server.store import database

#: Pages that are copied at a time: 4 MiB by default.
_STEP = 1024

#: Instructions of SQLite's between two looks whether a signal came.
_PATIENCE = 100_000


#: Takes over which logs retention has removed meanwhile. Files that were copied before are noted as to be removed, as
#: the live server has noted them.
_LOGS_REMOVED = (
    """
    CREATE TEMP TABLE without_log AS SELECT id, task_id, log_path FROM main.run
    WHERE NOT log_removed AND id IN (SELECT id FROM live.run WHERE log_removed)
    """,
    """
    INSERT OR IGNORE INTO main.obsolete_file
    SELECT replace(log_path, 'logs/', '') FROM without_log UNION SELECT task_id || '_setup.log' FROM without_log
    """,
    "UPDATE main.worktree SET setup_log_path = NULL WHERE task_id IN (SELECT task_id FROM without_log)",
    """
    UPDATE main.task SET (removed_lines, has_logs) =
        (SELECT removed_lines, has_logs FROM live.task WHERE live.task.id = main.task.id)
    WHERE id IN (SELECT task_id FROM without_log)
    """,
    "UPDATE main.run SET log_removed = 1 WHERE id IN (SELECT id FROM without_log)",
)


@dataclass(frozen=True, slots=True)
class RunLog:
    """What the database says of a run's log. Of a run that was at work, no size is known yet."""

    name: str
    size: int


class Snapshot:
    """The copy. `interrupted` tells whether to give up what takes long."""

    def __init__(self, live: Path, copy: Path, interrupted: Callable[[], bool]) -> None:
        self._live = live
        self._path = copy
        self._interrupted = interrupted

    @classmethod
    def take(cls, live: Path, copy: Path, part: Callable[[int, int], None], interrupted: Callable[[], bool]) -> Self:
        """Copies the live database; `part` is told how much of it is done. Raises SourceUnusable."""
        snapshot = cls(live, copy, interrupted)
        copy.touch(0o600)
        # Whatever fails is a failure of the backup as a whole, so that nothing needs to be undone here.
        with _connected(copy, "mode=rw") as target, _reading(live) as source:
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=_STEP, progress=lambda _, left, whole: part(whole - left, whole))
        if newer := database.newer_migrations(snapshot.schema()):
            raise SourceUnusable(
                f"The database {live} was made by a newer version of Taskgrove (it has {', '.join(newer)}): "
                "make the backup with that version."
            )
        return snapshot

    def schema(self) -> tuple[str, ...]:
        """Returns the names of the migrations that the database has been through; raises SourceUnusable."""
        with self._looking() as copy:
            return tuple(name for (name,) in copy.execute("SELECT name FROM schema_migration ORDER BY name"))

    def count(self, table: str, condition: str = "1") -> int:
        """Counts rows of a table."""
        with self._looking() as copy:
            counted: int = copy.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]  # noqa: S608 - words of our own
            return counted

    def run_logs(self) -> Iterator[RunLog]:
        """Yields the logs of all runs, but for those that retention has removed."""
        with self._looking() as copy:
            condition = "NOT log_removed" if _has_column(copy, "main", "run", "log_removed") else "1"
            for path, size in copy.execute(f"SELECT log_path, log_size FROM run WHERE {condition}"):  # noqa: S608 - as above
                yield RunLog(path.rpartition("/")[2], size)

    def task_ids(self) -> Iterator[str]:
        """Yields the ids of all tasks."""
        with self._looking() as copy:
            for (task_id,) in copy.execute("SELECT id FROM task"):
                yield task_id

    def has_task(self, task_id: str) -> bool:
        """Tells whether a task is in it."""
        with self._looking() as copy:
            return bool(copy.execute("SELECT 1 FROM task WHERE id = ?", (task_id,)).fetchone())

    def follow_removals(self) -> frozenset[str]:
        """Deletes the tasks that were deleted from the live database meanwhile, and returns their ids.

        Their files may have gone before they could be copied, and so may logs that retention has removed.
        """
        with _connected(self._path, "mode=rw") as copy:
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("ATTACH ? AS live", (_uri(self._live, "mode=ro"),))
            copy.execute("BEGIN")
            gone = "SELECT id FROM main.task WHERE id NOT IN (SELECT id FROM live.task)"
            deleted = frozenset(task_id for (task_id,) in copy.execute(gone))
            for task_id in deleted:
                copy.execute("DELETE FROM main.run WHERE task_id = ?", (task_id,))
                copy.execute("DELETE FROM main.worktree WHERE task_id = ?", (task_id,))
                copy.execute("DELETE FROM main.task WHERE id = ?", (task_id,))
            if _has_column(copy, "main", "run", "log_removed") and _has_column(copy, "live", "run", "log_removed"):
                for statement in _LOGS_REMOVED:
                    copy.execute(statement)
            copy.execute("COMMIT")
            copy.execute("DETACH live")
        return deleted

    def check(self) -> None:
        """Looks through all of the copy; raises SourceUnusable when it is damaged."""
        with self._looking() as copy:
            copy.set_progress_handler(self._interrupted, _PATIENCE)
            found: str = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise SourceUnusable(
                f"The database {self._live} is damaged ({found}), and was not saved. Stop the server, and restore "
                "an earlier backup; keep the damaged directory until then."
            )

    @contextlib.contextmanager
    def _looking(self) -> Generator[sqlite3.Connection]:
        # Nobody else writes to it, and it is to have no -wal and -shm beside it.
        with _connected(self._path, "immutable=1") as copy:
            yield copy


def _has_column(connection: sqlite3.Connection, schema: str, table: str, column: str) -> bool:
    """Tells whether a table has a column, which databases of earlier versions may not have."""
    rows = connection.execute("SELECT 1 FROM pragma_table_info(?, ?) WHERE name = ?", (table, schema, column))
    return rows.fetchone() is not None


@contextlib.contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    with _connected(path, "mode=ro") as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield connection


@contextlib.contextmanager
def _connected(path: Path, options: str) -> Generator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(_uri(path, options), uri=True, isolation_level=None, timeout=database.BUSY_TIMEOUT)
        with contextlib.closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise SourceUnusable(f"The database cannot be copied: {error}: {path}") from error


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(str(path).encode(errors='surrogateescape'))}?{options}"
