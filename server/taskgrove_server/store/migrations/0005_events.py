"""Keeps what happens to tasks."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Makes the table of events, and the index by which those of a list are found."""
    database.execute_sql("""
        CREATE TABLE event (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            task_id TEXT NOT NULL,
            task_list_id TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            detail TEXT NOT NULL
        )
    """)
    database.execute_sql("CREATE INDEX event_task_list ON event (task_list_id, sequence)")
