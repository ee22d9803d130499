"""The prompts, word for word as the original worker builds them."""

from __future__ import annotations

from taskgrove_server.domain.failures import Failure
from taskgrove_server.domain.task import Task


def of_task(task: Task) -> str:
    """Returns the prompt of a task's first run: title, description, and sub-tasks as a check list."""
    parts = [task.title]
    if task.description.strip():
        parts.append(f"\n\n{task.description.strip()}")
    if task.subtasks:
        parts.append("\n\n## Sub-Tasks\n")
        parts.extend(f"- [{'x' if part.completed else ' '}] {part.title}\n" for part in task.subtasks)
    return "".join(parts)


def of_retry(failure: Failure) -> str:
    """Returns the prompt of the automatic retry after a failure."""
    return f"The previous attempt failed with:\n\n{failure.message}\n\nTry again and fix the issues."


def of_hold(failure: Failure) -> str:
    """Returns the prompt with which a session goes on that was cut off by what has passed since."""
    return f"You were cut off by something that has passed:\n\n{failure.message}\n\nGo on where you stopped."


def was_changed(task: Task, told: str) -> bool:
    """Tells whether a task reads otherwise than in the prompt with which its session began, ticks apart."""
    return of_task(task).replace("\n- [x] ", "\n- [ ] ") != told.replace("\n- [x] ", "\n- [ ] ")


def of_change(task: Task, prompt: str) -> str:
    """Returns a prompt for a session that was told the task as it read before."""
    return f"{prompt}\n\nThe task was changed meanwhile. Now it reads:\n\n{of_task(task)}"


def of_new_session(task: Task, prompt: str) -> str:
    """Returns the prompt for a session that takes the place of a lost one, given what the lost one was told."""
    whole = of_task(task)
    return whole if prompt == whole else f"{whole}\n\n{prompt}"
