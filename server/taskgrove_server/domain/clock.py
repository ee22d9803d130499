"""The time of day."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Returns the current time, aware and in UTC."""
    return datetime.now(UTC)
