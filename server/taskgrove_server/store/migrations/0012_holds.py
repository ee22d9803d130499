"""Keeps what holds tasks back, which of them it has put back, and whether the model of a run has answered."""

from __future__ import annotations

from typing import Any


def up(_migrator: Any, database: Any) -> None:
    """Makes the table of holds, and adds the columns."""
    database.execute_sql("""
        CREATE TABLE hold (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            reason TEXT NOT NULL,
            failure_kind TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            ends INTEGER,
            create_time INTEGER NOT NULL,
            failed_time INTEGER NOT NULL,
            next_try_time INTEGER NOT NULL
        )
    """)
    database.execute_sql("ALTER TABLE task ADD COLUMN hold_count INTEGER NOT NULL DEFAULT 0")
    database.execute_sql("ALTER TABLE task ADD COLUMN hold_time INTEGER")
    # With all that is asked of tasks that wait while something is held: of ten thousand, none has to be read.
    database.execute_sql("""
        CREATE INDEX task_tries
        ON task (state, slot, hold_count, queue_order, id, task_list_id, json_extract(overrides, '$.agent'))
        WHERE state = 'queued' AND slot IS NULL
    """)
    database.execute_sql("ALTER TABLE run ADD COLUMN answered INTEGER NOT NULL DEFAULT 1")
