"""The store as the rest of the server sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.guarding import Troubles
from taskgrove_server.store.database import open_database
from taskgrove_server.store.events import Events
from taskgrove_server.store.free_pages import FreePages
from taskgrove_server.store.holds import Holds
from taskgrove_server.store.obsolete_files import ObsoleteFiles
from taskgrove_server.store.requests import Requests
from taskgrove_server.store.retention import Retention
from taskgrove_server.store.runs import Runs
from taskgrove_server.store.slots import Slots
from taskgrove_server.store.task_lists import TaskLists
from taskgrove_server.store.tasks import Tasks
from taskgrove_server.store.worktrees import Worktrees
from taskgrove_server.store.writer import Writer


class Store:
    """Tasks, runs and lists in one database.

    Reads happen in the caller's thread, on a connection of its own; changes happen in the writer's.
    `committed` is called there with the tasks that a commit touched, before any change of it is answered, and
    `committing` with the same before it is made; they must neither block nor raise.
    """

    def __init__(
        self,
        path: Path,
        committed: Callable[[frozenset[TaskId]], None],
        troubles: Troubles | None = None,
        committing: Callable[[frozenset[TaskId]], None] = lambda _: None,
    ) -> None:
        self._database = open_database(path)
        self._writer = Writer(self._database, committing, committed, troubles or Troubles())
        self.tasks = Tasks(self._writer)
        self.slots = Slots(self._writer)
        self.holds = Holds(self._writer)
        self.runs = Runs(self._writer)
        self.worktrees = Worktrees(self._writer)
        self.events = Events(self._writer, self._database)
        self.task_lists = TaskLists(self._writer)
        self.requests = Requests(self._writer)
        self.retention = Retention(self._writer)
        self.obsolete_files = ObsoleteFiles(self._writer)
        self.free_pages = FreePages(self._writer, self._database)

    def open_connection(self) -> None:
        """Opens the calling thread's connection, which else happens when it first reads."""
        self._database.connect(reuse_if_open=True)

    def close_connection(self) -> None:
        """Closes the calling thread's connection, which a thread that ends must not leave behind."""
        if not self._database.is_closed():
            self._database.close()

    def close(self) -> None:
        """Makes the changes that wait, then closes."""
        self._writer.close()
        self.close_connection()
