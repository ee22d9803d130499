"""Pages of the database's file that hold nothing any more. They are used again, and given back when they are many."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import peewee

from taskgrove_server.store.writer import Changed, Writer

#: Free pages that are kept for what comes next: 8 MiB, or a quarter of the file if that is more.
SPARE = 2048

#: Pages that one change gives back: calls wait for it for a few milliseconds.
SLICE = 256


class FreePages:
    """The free pages of a database. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer, database: peewee.SqliteDatabase) -> None:
        self._writer = writer
        self._database = database

    def give_back(self) -> Future[int]:
        """Makes the file smaller by some of the free pages, if there are many; returns by how many."""

        def change(_changed: Changed) -> int:
            pragma: Callable[[str], int] = self._database.pragma
            execute: Callable[[str], object] = self._database.execute_sql
            free = pragma("freelist_count")
            for _ in range(min(free - max(SPARE, pragma("page_count") // 4), SLICE)):
                # One by one: it answers with rows without columns, of which Python's sqlite3 takes one.
                execute("PRAGMA incremental_vacuum(1)")
            return free - pragma("freelist_count")

        return self._writer.submit(change)
