"""Finds a list's tasks in one state without reading the others."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Replaces the index of a list's active tasks by one of its tasks in any state."""
    database.execute_sql("DROP INDEX task_active")
    database.execute_sql("CREATE INDEX task_task_list_state ON task (task_list_id, state, sequence)")
