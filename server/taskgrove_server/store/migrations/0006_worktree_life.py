"""Keeps what has become of worktrees, how those of a list are made, and which tasks are to be done from the start."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Adds the columns; all worktrees from before are present, and the lists have no settings."""
    for column in (
        "task_list ADD COLUMN worktree_settings TEXT NOT NULL DEFAULT '{}'",
        "task ADD COLUMN restart INTEGER NOT NULL DEFAULT 0",
        "worktree ADD COLUMN state TEXT NOT NULL DEFAULT 'present'",
        "worktree ADD COLUMN saved_ref TEXT",
        "worktree ADD COLUMN landing TEXT",
        "worktree ADD COLUMN setup_log_path TEXT",
        "worktree ADD COLUMN copied_files TEXT NOT NULL DEFAULT '[]'",
        "worktree ADD COLUMN operation TEXT",
    ):
        database.execute_sql(f"ALTER TABLE {column}")
    database.execute_sql("CREATE INDEX worktree_present ON worktree (task_id) WHERE state = 'present'")
    database.execute_sql("CREATE INDEX worktree_operation ON worktree (task_id) WHERE operation IS NOT NULL")
