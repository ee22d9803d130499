"""Keeps with each run the config that it was started with, and whether its log was cut."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the columns; runs from before have no config."""
    database.execute_sql("ALTER TABLE run ADD COLUMN config TEXT")
    database.execute_sql("ALTER TABLE run ADD COLUMN log_lost INTEGER NOT NULL DEFAULT 0")
