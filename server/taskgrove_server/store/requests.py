"""Request ids: what makes a call safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from taskgrove_server.domain import clock, errors
from taskgrove_server.store import models, rows
from taskgrove_server.store.refusing import reading
from taskgrove_server.store.writer import Changed, Writer

T = TypeVar("T")

#: Ids that one transaction removes.
SLICE = 10_000

_RECORD = """
INSERT INTO request (id, method, fingerprint, subject_id, answer, create_time) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET answer = excluded.answer
WHERE method = excluded.method AND fingerprint = excluded.fingerprint
"""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A caller's id for one call: the method, and a digest of the body without the id."""

    id: str
    method: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an earlier call with the same id was about, and what it answered where that is kept."""

    subject_id: str
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class Answering(Generic[T]):
    """A call whose answer is kept for those who repeat it, and how that is made of what came of the call."""

    key: RequestKey
    encode: Callable[[T], bytes]


class Requests:
    """The stored request ids. Changes return futures that resolve once they are on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def record(self, key: RequestKey, subject_id: str, answer: bytes) -> Future[None]:
        """Notes what a call answers whose deed is not in the store; see `record` of this module."""
        return self._writer.submit(lambda _changed: record(key, subject_id, answer))

    def trim(self, retention: timedelta) -> Future[int]:
        """Removes some of the ids that are older than `retention`; returns how many.

        Fewer than asked for are removed at a time, for others wait meanwhile: 0 tells that all is done.
        """
        oldest = rows.from_time(clock.now() - retention)

        def change(_changed: Changed) -> int:
            old = models.Request.select(models.Request.id).where(models.Request.create_time < oldest)
            some = old.order_by(models.Request.create_time).limit(SLICE)
            removed: int = models.Request.delete().where(models.Request.id.in_(some)).execute()
            return removed

        return self._writer.submit(change)

    @reading()
    def recall(self, key: RequestKey) -> Recalled | None:
        """Returns what the same call answered before, None when it is new. Raises RequestIdReused."""
        return _recall(key)


def earlier(key: RequestKey | None) -> str | None:
    """Returns the id of what the same call returned before, None when it is new.

    Raises RequestIdReused when the id was used for another call. Belongs into the transaction of the change.
    """
    if key is None:
        return None
    known = _recall(key)
    return known.subject_id if known else None


@reading()
def look_up(key: RequestKey) -> str | None:
    """As `earlier`, outside of a transaction."""
    return earlier(key)


def record(key: RequestKey | None, subject_id: str, answer: bytes | None = None) -> None:
    """Notes what the call returned, or what it has come to since. Belongs into the transaction of the change.

    What was done stays done when its id was used meanwhile for a call of another method.
    """
    if key is None:
        return
    now = rows.from_time(clock.now())
    models.run(_RECORD, key.id, key.method, key.fingerprint, subject_id, answer, now)


def _recall(key: RequestKey) -> Recalled | None:
    row = models.run("SELECT method, fingerprint, subject_id, answer FROM request WHERE id = ?", key.id).fetchone()
    if row is None:
        return None
    method, fingerprint, subject_id, answer = row
    if (method, fingerprint) != (key.method, key.fingerprint):
        raise errors.RequestIdReused(key.id)
    return Recalled(subject_id, answer)
