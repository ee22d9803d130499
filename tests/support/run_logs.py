"""Runs as the store tells of them, for tests of what reads their logs."""

from __future__ import annotations

from pathlib import Path

from taskgrove_server.domain import clock, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.run import Run


def run_over(path: Path, first_line: int = 1) -> Run:
    """Returns a run that goes on, with its log at `path`."""
    return Run(
        id=ids.new_run_id(),
        task_id=ids.new_task_id(),
        number=1,
        is_retry=False,
        prompt="",
        agent="command",
        model=None,
        session_id=None,
        resumes=False,
        config=RunConfig(),
        log_path=str(path),
        first_line=first_line,
        start_time=clock.now(),
    )
