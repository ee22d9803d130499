"""Finds tasks by when they came to rest, and keeps whose logs were removed and which files are still to go."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the columns, the table and the indexes; nothing has been removed yet."""
    database.execute_sql("ALTER TABLE task ADD COLUMN removed_lines INTEGER NOT NULL DEFAULT 0")
    database.execute_sql("ALTER TABLE task ADD COLUMN has_logs INTEGER NOT NULL DEFAULT 1")
    database.execute_sql("ALTER TABLE run ADD COLUMN log_removed INTEGER NOT NULL DEFAULT 0")
    database.execute_sql("CREATE TABLE obsolete_file (name TEXT NOT NULL PRIMARY KEY)")
    # With all that a listing asks of tasks that have rested for long, so that it need not read them.
    database.execute_sql("""
        CREATE INDEX task_finish_time ON task (finish_time, sequence, state, task_list_id)
        WHERE finish_time IS NOT NULL
    """)
    # Its condition must stand in the query to the letter: see retention.WITH_LOGS.
    database.execute_sql("""
        CREATE INDEX task_with_logs ON task (finish_time, sequence)
        WHERE finish_time IS NOT NULL AND has_logs = 1
    """)
