"""Runs as the store tells of them, and those who read their logs, for tests of the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
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


class Lines:
    """Collects lines, and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self._more = threading.Condition()

    def __call__(self, line: bytes) -> None:
        """Takes a line."""
        with self._more:
            self.all.append(line)
            self._more.notify_all()

    def wait_for(self, count: int) -> None:
        """Waits until there are so many."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.all) >= count, 20), self.all


class CountedReads:
    """Reads by position, and counts the bytes."""

    def __init__(self, read: Callable[[int, int, int], bytes]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self.size = 0

    def __call__(self, file: int, size: int, offset: int) -> bytes:
        """Reads."""
        data = self._read(file, size, offset)
        with self._lock:
            self.size += len(data)
        return data
