"""Lists tasks in the order in which they changed."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the indexes of that order, over all tasks and over those of a list."""
    database.execute_sql("CREATE INDEX task_update_time ON task (update_time, sequence)")
    database.execute_sql("CREATE INDEX task_task_list_update_time ON task (task_list_id, update_time, sequence)")
