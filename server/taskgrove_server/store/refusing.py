"""Tells a database that is out of order for the moment from a defect of our own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator

import peewee

from taskgrove_server.domain import errors

#: Rows are fetched past Peewee, whose own classes wrap only what comes up when a statement begins.
DATABASE_ERRORS = (peewee.DatabaseError, sqlite3.DatabaseError)

#: What SQL of our own can bring about. Everything else is the disk's doing, the file's, or another process's.
OURS = (
    peewee.IntegrityError,
    peewee.ProgrammingError,
    peewee.DataError,
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
)


def is_outage(error: BaseException) -> bool:
    """Tells whether the database could not do what was right to ask for."""
    return isinstance(error, (*DATABASE_ERRORS, OSError)) and not isinstance(error, OURS)


def first(error: BaseException) -> BaseException:
    """Returns what an error began with.

    SQLite undoes a whole transaction by itself when its disk is full; that there is no savepoint to go back to then
    is an error of its own.
    """
    found, earlier = error, error.__context__
    while earlier is not None:
        found = earlier if is_outage(earlier) else found
        earlier = earlier.__context__
    return found


@contextlib.contextmanager
def reading() -> Generator[None]:
    """Raises StoreUnavailable for a database that cannot be read at the moment."""
    try:
        yield
    except (*DATABASE_ERRORS, OSError) as error:
        if not is_outage(error):
            raise
        raise errors.StoreUnavailable(f"its database cannot be read: {error}") from error
