"""Makes the first tables."""

from __future__ import annotations

from typing import Any

# A partial index holds only the tasks that wait, so that a claim is as fast with a million tasks as with ten.
# Its condition must stand in the query to the letter: see slots.CLAIMABLE. The columns that the condition fixes
# are in it because SQLite's planner takes the index with the most columns that it can use.
STATEMENTS = """
CREATE TABLE task_list (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    working_dir TEXT,
    defaults TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
);
CREATE INDEX task_list_working_dir ON task_list (working_dir, sequence);

CREATE TABLE task (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    task_list_id TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    subtasks TEXT NOT NULL,
    overrides TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    queue_order INTEGER NOT NULL,
    slot INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    settling INTEGER NOT NULL DEFAULT 0,
    next_prompt TEXT,
    result TEXT,
    failure TEXT,
    directory TEXT,
    run_count INTEGER NOT NULL DEFAULT 0,
    last_line INTEGER NOT NULL DEFAULT 0,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    start_time INTEGER,
    finish_time INTEGER
);
CREATE INDEX task_queue ON task (state, slot, queue_order) WHERE state = 'queued' AND slot IS NULL;
CREATE INDEX task_active ON task (task_list_id, state) WHERE state IN ('queued', 'running');
CREATE INDEX task_slot ON task (slot) WHERE slot IS NOT NULL;
CREATE INDEX task_queue_order ON task (queue_order);
CREATE INDEX task_task_list ON task (task_list_id, sequence);
CREATE INDEX task_state ON task (state, sequence);

CREATE TABLE worktree (
    task_id TEXT NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
    branch TEXT NOT NULL,
    base_commit TEXT NOT NULL,
    head_commit TEXT
);

CREATE TABLE run (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    task_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
    is_retry INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    agent TEXT NOT NULL,
    model TEXT,
    session_id TEXT,
    resumes INTEGER NOT NULL,
    log_path TEXT NOT NULL,
    first_line INTEGER NOT NULL,
    line_count INTEGER NOT NULL DEFAULT 0,
    log_size INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    structured_output TEXT,
    failure TEXT,
    exit_code INTEGER,
    turns INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cost_usd REAL,
    session_cost_usd REAL,
    permission_denials TEXT NOT NULL DEFAULT '[]',
    stderr TEXT NOT NULL DEFAULT '',
    start_time INTEGER NOT NULL,
    finish_time INTEGER,
    UNIQUE (task_id, number)
);

CREATE TABLE request (
    id TEXT NOT NULL PRIMARY KEY,
    method TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    create_time INTEGER NOT NULL
);
"""


def up(_migrator: Any, database: Any) -> None:
    """Makes the tables and their indexes."""
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            database.execute_sql(statement)
