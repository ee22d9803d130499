"""Request ids: what makes a call safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from taskgrove_server.domain import clock, errors
from taskgrove_server.store import models, rows
from taskgrove_server.store.refusing import reading


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A caller's id for one call: the method, and a digest of the body without the id."""

    id: str
    method: str
    fingerprint: str


def earlier(key: RequestKey | None) -> str | None:
    """Returns the id of what the same call returned before, None when it is new.

    Raises RequestIdReused when the id was used for another call. Belongs into the transaction of the change.
    """
    if key is None:
        return None
    row = models.Request.get_or_none(models.Request.id == key.id)
    if row is None:
        return None
    if (row.method, row.fingerprint) != (key.method, key.fingerprint):
        raise errors.RequestIdReused(key.id)
    return row.subject_id


@reading()
def look_up(key: RequestKey) -> str | None:
    """As `earlier`, outside of a transaction."""
    return earlier(key)


def record(key: RequestKey | None, subject_id: str) -> None:
    """Notes what the call returned. Belongs into the transaction of the change."""
    if key is not None:
        models.Request.create(
            id=key.id,
            method=key.method,
            fingerprint=key.fingerprint,
            subject_id=subject_id,
            create_time=rows.from_time(clock.now()),
        )
