"""Removes files of logs that nothing leads to any more: at once, and again and again until they are gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from taskgrove_server.domain import log_names
from taskgrove_server.domain.errors import StoreUnavailable
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.guarding import Tellable
from taskgrove_server.journal import line_index
from taskgrove_server.store.store import Store

#: Files that are removed between two changes of the store.
_PAGE = 500


class LogNotRemoved(Tellable):
    """Files stay that were to be removed; the message says why the first one does."""


class LogFiles:
    """Looks after the obsolete files of the store, which are in the directory `logs`."""

    def __init__(self, store: Store, logs: Path) -> None:
        self._store = store
        self._logs = logs

    def of_setup(self, task_id: TaskId) -> str:
        """Returns the path of a task's setup log, whether or not there is one."""
        return str(self._logs / log_names.of_setup(task_id))

    def remove(self, names: Sequence[str]) -> OSError | None:
        """Removes obsolete files with their indexes, and returns why the first of those that stay does.

        The store is told of those that are gone, and asked of each before: some time may have passed since it named
        them. Raises StoreUnavailable.
        """
        gone: list[str] = []
        failure: OSError | None = None
        for name in names:
            if not self._store.obsolete_files.has(name):
                continue
            path = self._logs / name
            try:
                # In this order: who makes an index looks afterwards whether its log is still there.
                path.unlink(missing_ok=True)
                line_index.path_of(str(path)).unlink(missing_ok=True)
                gone.append(name)
            except OSError as error:
                failure = failure or error
        if gone:
            # What is not forgotten is looked for once more.
            with contextlib.suppress(StoreUnavailable):
                self._store.obsolete_files.forget(gone).result()
        return failure

    def remove_all(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Removes all that is left, also by a server that was killed; raises LogNotRemoved when something stays."""
        last = ""
        failure: OSError | None = None
        while not stopped() and (names := self._store.obsolete_files.page(last, _PAGE)):
            last = names[-1]
            failed = self.remove(names)
            failure = failure or failed
        if failure is not None:
            raise LogNotRemoved(f"A log cannot be removed: {failure.strerror}: {failure.filename}")
