"""Runs several tasks at once, and shows what their agents write as it comes.

python example_asyncio.py "Mend the failing test" "Write the changelog"   # in a git repository
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import taskgrove


async def run(client: taskgrove.AsyncClient, task_list_id: str, title: str) -> taskgrove.Task:
    """Queues a task, prints its lines, and returns it at rest."""
    task = await client.enqueue(task_list_id, title)
    async for line in client.lines(task.id):  # reconnects by itself, loses nothing
        print(f"{task.id} {line.number}: {line.text}")
    return await client.get_task(task.id)


async def main() -> int:
    """Runs the example; returns how many tasks did not succeed."""
    titles = sys.argv[1:] or ["Say hello", "Say goodbye"]
    failed = 0
    async with taskgrove.AsyncClient() as client:  # $TASKGROVE_TARGET, else the server of this user.
        task_list = await client.create_task_list("Example", working_dir=Path.cwd())
        for task in await asyncio.gather(*(run(client, task_list.id, title) for title in titles)):
            if task.state == taskgrove.Task.STATE_SUCCEEDED:
                print(f"{task.title}: the commit is on {task.worktree.branch}.", file=sys.stderr)
            else:
                failed += 1
                print(f"{task.title}: {task.failure.message or 'it was cancelled.'}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
