"""The time of day."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Returns the current time, aware and in UTC."""
    return datetime.now(UTC)


def etag(changed: datetime) -> str:
    """Returns a name for the state of a thing that changed last at this time, to the microsecond."""
    return f"{int(changed.timestamp()) * 10**6 + changed.microsecond:x}"
