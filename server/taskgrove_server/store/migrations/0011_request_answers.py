"""Keeps what calls with a request id answered, and finds those that were made long ago."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the column, and the index by which old ids are found."""
    database.execute_sql("ALTER TABLE request ADD COLUMN answer BLOB")
    database.execute_sql("CREATE INDEX request_create_time ON request (create_time)")
