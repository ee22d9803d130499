"""Keeps in which directory of its repository a task's agent starts."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the column; all tasks from before start at the top."""
    database.execute_sql("ALTER TABLE task ADD COLUMN subdirectory TEXT NOT NULL DEFAULT ''")
