"""How much of the disk tasks take, where their server is on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import taskgrove
from taskgrove.v1 import task_pb2

_BLOCK = 512


def of_task(client: taskgrove.Client, task: task_pb2.Task, *, with_directory: bool) -> int | None:
    """Returns the bytes of a task's logs, and of its worktree or sandbox; None when none of them is to be seen here."""
    paths = [run.log_path for run in client.list_runs(task.id)]
    blocks = [count for path in paths for count in _blocks_of(path)]
    if with_directory and (directory := task.worktree.path or task.directory):
        blocks += _blocks_below(directory)
    return sum(blocks) * _BLOCK if blocks else None


def _blocks_of(path: str) -> Iterator[int]:
    # The path of a log that was removed is empty.
    with suppress(OSError):
        yield os.lstat(path).st_blocks


def _blocks_below(directory: str) -> Iterator[int]:
    yield from _blocks_of(directory)
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield from _blocks_of(f"{parent}/{name}")
