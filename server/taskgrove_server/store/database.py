"""Opens the SQLite database and brings its schema up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import peewee
from playhouse.migrations import Runner

from taskgrove_server.store import models, refusing

log = logging.getLogger(__name__)

#: Seconds to wait for a lock that another process holds on the database file.
BUSY_TIMEOUT = 5.0

MIGRATIONS = Path(__file__).parent / "migrations"


#: Bytes of a database that is read whole when it is opened; 64 MiB take about a tenth of a second.
CHECKED = 64 << 20

#: The value of PRAGMA auto_vacuum.
_INCREMENTAL = 2

MEND = (
    "Restore it from a backup, or move it away together with its -wal and -shm files, to begin with an empty one. "
    "Logs and branches are not in it."
)


class DatabaseUnusable(Exception):
    """The database cannot be opened, is damaged, or was made by a newer version."""


def open_database(path: Path) -> peewee.SqliteDatabase:
    """Returns the database at `path`, made or migrated where needed.

    `synchronous=FULL` makes every commit durable: what was acknowledged survives a power cut. Connections are
    one a thread; readers never wait for the writer (WAL).
    """
    database = peewee.SqliteDatabase(
        str(path),
        pragmas={
            "journal_mode": "wal",
            # What a large change leaves of it is given back.
            "journal_size_limit": 16 << 20,
            "synchronous": "full",
            "foreign_keys": 1,
            # What SQLite sets aside within a statement is small, and takes neither a descriptor nor room in /tmp.
            "temp_store": "memory",
            "busy_timeout": int(BUSY_TIMEOUT * 1000),
        },
        timeout=BUSY_TIMEOUT,
    )
    try:
        with database.connection_context():
            _check(database, path)
            _migrate(database, path)
            _make_shrinkable(database, path)
    except (*refusing.DATABASE_ERRORS, OSError) as error:
        damaged = any(sign in str(error) for sign in ("malformed", "not a database"))
        raise DatabaseUnusable(
            f"The database {path} cannot be used: {error}{f'. {MEND}' if damaged else ''}"
        ) from error
    path.chmod(0o600)
    models.bind(database, path.parent)
    return database


def newer_migrations(applied: Iterable[str]) -> list[str]:
    """Returns which of the migrations that a database has been through this version does not know."""
    return sorted(set(applied) - {path.stem for path in MIGRATIONS.glob("*.py")})


def _check(database: peewee.SqliteDatabase, path: Path) -> None:
    """Raises DatabaseUnusable for a damaged file, which might otherwise be noticed in the middle of a task.

    Only up to CHECKED bytes: a start should not take seconds. SQLite itself outlives crashes without a check.
    """
    if path.stat().st_size > CHECKED:
        return
    found = database.pragma("quick_check")
    if found != "ok":
        raise DatabaseUnusable(f"The database {path} is damaged ({found}): {MEND}")


def _make_shrinkable(database: peewee.SqliteDatabase, path: Path) -> None:
    """Has a database that is new, or of an early version, give back pages that are free.

    Not by each connection: the pragma writes, and would wait for the writer. One that it would take more than a second
    for stays as large as it is, and uses its free pages again.
    """
    if database.pragma("auto_vacuum") == _INCREMENTAL or path.stat().st_size > CHECKED:
        return
    database.pragma("auto_vacuum", "incremental")
    try:
        execute: Callable[[str], object] = database.execute_sql
        execute("VACUUM")
    except refusing.DATABASE_ERRORS as error:
        # For want of room, say. The next start tries again.
        log.warning("The database %s cannot be made to shrink: %s", path, error)


def _migrate(database: peewee.SqliteDatabase, path: Path) -> None:
    runner = Runner(database, str(MIGRATIONS), table_name="schema_migration")
    if newer := newer_migrations(runner.applied()):
        raise DatabaseUnusable(
            f"The database {path} was made by a newer version of Taskgrove (it has {', '.join(newer)}): "
            "install that version, or use another data directory."
        )
    runner.up()
