"""Keeps what happened during a run to what its repository shares."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the column; of runs from before nothing is known."""
    database.execute_sql("ALTER TABLE run ADD COLUMN repository_changes TEXT NOT NULL DEFAULT '[]'")
