"""Keeps paths in the data directory relative to it, so that it can be moved.

It may have been moved already: what lies in it is known by how the server names it, not by where it was.
"""

from __future__ import annotations

from typing import Any

STATEMENTS = """
UPDATE run
SET log_path = substr(log_path, instr(log_path, '/logs/' || task_id || '_') + 1)
WHERE instr(log_path, '/logs/' || task_id || '_') > 0;

UPDATE worktree
SET path = substr(path, instr(path, '/worktrees/' || task_id) + 1)
WHERE instr(path, '/worktrees/' || task_id) > 0;

UPDATE worktree
SET setup_log_path = substr(setup_log_path, instr(setup_log_path, '/logs/' || task_id || '_') + 1)
WHERE instr(setup_log_path, '/logs/' || task_id || '_') > 0;

UPDATE task
SET directory = substr(directory, instr(directory, '/worktrees/' || id) + 1)
WHERE instr(directory, '/worktrees/' || id) > 0;

UPDATE task
SET directory = substr(directory, instr(directory, '/sandboxes/' || id) + 1)
WHERE instr(directory, '/sandboxes/' || id) > 0;

UPDATE event
SET detail = json_set(detail, '$.worktree.path', substr(
    json_extract(detail, '$.worktree.path'),
    instr(json_extract(detail, '$.worktree.path'), '/worktrees/' || task_id) + 1
))
WHERE kind = 'worktree_updated' AND instr(json_extract(detail, '$.worktree.path'), '/worktrees/' || task_id) > 0;

UPDATE event
SET detail = json_set(detail, '$.worktree.setup_log_path', substr(
    json_extract(detail, '$.worktree.setup_log_path'),
    instr(json_extract(detail, '$.worktree.setup_log_path'), '/logs/' || task_id || '_') + 1
))
WHERE kind = 'worktree_updated'
    AND instr(json_extract(detail, '$.worktree.setup_log_path'), '/logs/' || task_id || '_') > 0;
"""


def up(_migrator: Any, database: Any) -> None:
    """Cuts what stands before; what lies elsewhere stays absolute."""
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            database.execute_sql(statement)
