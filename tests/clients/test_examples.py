"""The examples, as a reader would run them: in a repository, with Claude Code as the agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories
from support.client_programs import Program
from support.server import RunningServer

#: Passes for Claude Code.
CLAUDE = """#!/bin/sh
echo '{"type": "system", "subtype": "init", "session_id": "s", "model": "fake", "tools": []}'
echo done > done.txt
echo '{"type": "result", "subtype": "success", "is_error": false, "result": "All is well", "session_id": "s"}'
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    claude = tmp_path / "claude"
    claude.write_text(CLAUDE)
    claude.chmod(0o700)
    with RunningServer("--claude", str(claude), "--linger", "1", tcp=True) as running:
        yield running


def test_example(program: Program, server: RunningServer, client: taskgrove.Client, repository: Path) -> None:
    stdout, stderr = program.show(server, repository, "Do it")
    (task,) = client.list_tasks()
    assert (task.title, task.state, task.result) == ("Do it", taskgrove.Task.STATE_SUCCEEDED, "All is well")
    assert '"result": "All is well"' in stdout
    assert f"commit is on {task.worktree.branch}" in stderr
    assert repositories.git(repository, "show", f"{task.worktree.branch}:done.txt") == "done"
