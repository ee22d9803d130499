"""Files in the directory of logs that nothing leads to any more.

They are noted in the transaction that takes away what led to them, and forgotten once they are gone: a server that is
killed in between leaves neither a file that nobody knows nor a row that promises lines which are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from taskgrove_server.domain import log_names
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.store import models
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

#: Values that one statement takes; SQLite's own bound is 32766.
_MOST = 500


class ObsoleteFiles:
    """The files that are to be removed, by name. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @reading()
    def page(self, after: str, size: int) -> list[str]:
        """Returns up to `size` names in order, from behind the name `after`."""
        query = models.ObsoleteFile.select().where(models.ObsoleteFile.name > after)
        return [row.name for row in query.order_by(models.ObsoleteFile.name).limit(size)]

    @reading()
    def has(self, name: str) -> bool:
        """Tells whether a file is to be removed still: a task that begins again may write its setup log anew."""
        return models.run("SELECT 1 FROM obsolete_file WHERE name = ?", name).fetchone() is not None

    def forget(self, names: Sequence[str]) -> Future[None]:
        """Notes that files are gone."""

        def change(_changed: Changed) -> None:
            for first in range(0, len(names), _MOST):
                some = names[first : first + _MOST]
                models.ObsoleteFile.delete().where(models.ObsoleteFile.name.in_(some)).execute()

        return self._writer.submit(change)


def record(task_ids: Iterable[TaskId], runs: Iterable[tuple[TaskId, int]]) -> list[str]:
    """Notes the logs of some tasks' setups and of some runs, and returns their names.

    Belongs into the transaction that takes away what led to them.
    """
    names = [*(log_names.of_run(task_id, number) for task_id, number in runs), *map(log_names.of_setup, task_ids)]
    if names:
        models.ObsoleteFile.insert_many([{"name": name} for name in names]).on_conflict_ignore().execute()
    return names


def keep_setup_log(task_id: TaskId) -> None:
    """Notes that a task may write its setup log anew. Belongs into the transaction that has it begin again."""
    models.ObsoleteFile.delete().where(models.ObsoleteFile.name == log_names.of_setup(task_id)).execute()
