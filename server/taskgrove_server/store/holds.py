"""What holds tasks back. A hold begins in the transaction that puts a task back; see slots."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskgrove_server.domain import clock, errors
from taskgrove_server.domain import hold as domain
from taskgrove_server.domain.event import EventKind
from taskgrove_server.domain.hold import Cause, Hold, HoldId, HoldKind
from taskgrove_server.domain.ids import TaskId
from taskgrove_server.store import events, models, requests, rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.requests import RequestKey
from taskgrove_server.store.writer import Changed, Writer


class Holds:
    """The stored holds. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @reading()
    def all(self) -> list[Hold]:
        """Returns what is held, ordered by when that began."""
        return _select("ORDER BY create_time, id")

    def reckon(self, first_pause: timedelta) -> Future[None]:
        """Reckons anew when tasks try again, with the first pause of this server."""

        def change(_changed: Changed) -> None:
            for hold in _select():
                _update(hold, first_pause)

        return self._writer.submit(change)

    def lift(self, hold_id: HoldId, request: RequestKey | None = None) -> Future[None]:
        """Ends a hold. Raises HoldNotFound and RequestIdReused."""

        def change(changed: Changed) -> None:
            if requests.earlier(request):
                return
            if not _end(changed, hold_id):
                raise errors.HoldNotFound(hold_id)
            requests.record(request, hold_id)

        return self._writer.submit(change)

    def end(self, hold_ids: frozenset[HoldId]) -> Future[None]:
        """Ends those of some holds that there are."""

        def change(changed: Changed) -> None:
            for hold_id in sorted(hold_ids):
                _end(changed, hold_id)

        return self._writer.submit(change)


def begin(changed: Changed, cause: Cause, first_pause: timedelta) -> None:
    """Has something held, or goes on with that. Belongs into a transaction."""
    now = clock.now()
    known = _select("WHERE id = ?", cause.hold_id)
    if not known:
        hold = Hold(cause.hold_id, cause, 1, now, now, domain.next_try(cause, 1, now, first_pause))
        models.add("hold", rows.from_hold(hold))
        events.record_hold(changed, EventKind.HOLD_BEGAN, hold)
        return
    hold = known[0]
    # Else it is one of those that were at work when the hold began.
    tried = hold.is_due(now)
    hold = replace(
        hold,
        cause=cause if cause.ends or tried else replace(cause, ends=hold.cause.ends),
        attempts=hold.attempts + tried,
        failed_time=now if tried else hold.failed_time,
    )
    _update(hold, first_pause)
    changed.holds = True


def end_of(changed: Changed, task_id: TaskId) -> None:
    """Ends the hold of a task alone, if there is one. Belongs into a transaction."""
    _end(changed, domain.hold_id(HoldKind.TASK, task_id))


def end_of_disk(changed: Changed, directory: str) -> None:
    """Ends the hold of a directory's disk, if there is one. Belongs into a transaction."""
    _end(changed, domain.hold_id(HoldKind.DISK, directory))


def _end(changed: Changed, hold_id: HoldId) -> bool:
    known = _select("WHERE id = ?", hold_id)
    if not known:
        return False
    models.run("DELETE FROM hold WHERE id = ?", hold_id)
    events.record_hold(changed, EventKind.HOLD_ENDED, known[0])
    return True


def _select(clauses: str = "", *parameters: Any) -> list[Hold]:
    """Returns the holds that a statement finds, of which `clauses` is what follows after the table."""
    found = models.run(f"SELECT * FROM hold {clauses}", *parameters)  # noqa: S608 - words of ours alone
    names = [name for name, *_ in found.description]
    return [rows.to_hold(dict(zip(names, values, strict=True))) for values in found]


def _update(hold: Hold, first_pause: timedelta) -> None:
    next_try = domain.next_try(hold.cause, hold.attempts, hold.failed_time, first_pause)
    models.change("hold", rows.from_hold(replace(hold, next_try_time=next_try)), "id = ?", hold.id)
