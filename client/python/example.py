"""Queues a task, shows what the agent writes, and says how it ended.

python example.py "Mend the failing test"   # in a git repository
"""

from __future__ import annotations

import sys
from pathlib import Path

import taskgrove
from taskgrove import watching


def main() -> int:
    """Runs the example; returns 0 if the task succeeded."""
    title = sys.argv[1] if len(sys.argv) > 1 else "Say hello"
    try:
        with taskgrove.Client() as client:  # $TASKGROVE_TARGET, else the server of this user.
            task_list = client.create_task_list("Example", working_dir=Path.cwd())
            task = client.enqueue(task_list.id, title)
            for event in client.watch(task.id):
                match event:
                    case taskgrove.Line():
                        print(event.text)
                    case watching.Rested():
                        task = event.task
                    case _:
                        print(f"{event.task.id} is {taskgrove.Task.State.Name(event.task.state)}", file=sys.stderr)
    except taskgrove.InvalidRequest as error:
        for field, description in error.violations:
            print(f"{field}: {description}", file=sys.stderr)
        return 1
    except taskgrove.TaskgroveError as error:
        print(f"{error.reason or error.code}: {error}", file=sys.stderr)
        return 1
    if task.state != taskgrove.Task.STATE_SUCCEEDED:
        print(task.failure.message or "The task was cancelled.", file=sys.stderr)
        return 1
    print(f"The commit is on {task.worktree.branch}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
