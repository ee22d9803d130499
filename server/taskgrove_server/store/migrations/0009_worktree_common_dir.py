"""Keeps which repository a worktree belongs to, for when the directory of its list is gone."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the column; of worktrees from before it is not known."""
    database.execute_sql("ALTER TABLE worktree ADD COLUMN common_dir TEXT")
