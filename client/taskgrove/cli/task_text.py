"""A task as a text that a person edits, and back.

Mend the login                                  the title

See issue 12.                                   the description, in Markdown

------------------------ subtasks ------------------------
- [ ] Find out why                              to be done
- [x] Write a test                              done
------------------------ >8 ------------------------
Everything from that line on is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from taskgrove.v1 import task_pb2

_SUBTASKS = "------------------------ subtasks ------------------------"
_END = "------------------------ >8 ------------------------"

_HELP = """\
Everything from the line above on is ignored. The title is the first line; the
description follows after an empty line. Subtasks are lines that begin with
"- [ ]", or with "- [x]" when they are done. Leave the file as it is, and
nothing is changed.
"""

_SUBTASK = re.compile(r"[-*] \[([ xX])\] (.*)")


class Invalid(ValueError):
    """The text is no task; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a person may change of a task; subtasks are (title, completed) pairs."""

    title: str
    description: str
    subtasks: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, task: task_pb2.Task) -> Content:
        """Returns the content of a task."""
        subtasks = tuple((part.title, part.completed) for part in task.subtasks)
        return cls(task.title, task.description.strip("\n"), subtasks)


def render(content: Content) -> str:
    """Returns the text to edit."""
    lines = [content.title, ""]
    if content.description:
        lines += [content.description, ""]
    lines.append(_SUBTASKS)
    lines += [f"- [{'x' if completed else ' '}] {title}" for title, completed in content.subtasks]
    return "\n".join([*lines, _END, _HELP])


def parse(text: str) -> Content:
    """Returns the content that a text describes; raises Invalid."""
    lines = text.replace("\r\n", "\n").split("\n")
    # The last ones count: a description may contain the same lines.
    lines = lines[: _last(lines, _END, len(lines))]
    boundary = _last(lines, _SUBTASKS, -1)
    if boundary < 0:
        raise Invalid("The line that separates the description from the subtasks is missing.")
    title, *description = lines[:boundary] or [""]
    if not title.strip():
        raise Invalid("The first line must be the title.")
    return Content(title.strip(), "\n".join(description).strip("\n"), _subtasks(lines[boundary + 1 :]))


def _last(lines: Sequence[str], wanted: str, otherwise: int) -> int:
    found = [number for number, line in enumerate(lines) if line.rstrip() == wanted]
    return found[-1] if found else otherwise


def _subtasks(lines: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    subtasks: list[tuple[str, bool]] = []
    for line in lines:
        if not line.strip():
            continue
        found = _SUBTASK.fullmatch(line.rstrip())
        if found is None or not found[2].strip():
            raise Invalid(f"{line.strip()!r} is no subtask: write it as '- [ ] What is to be done'.")
        subtasks.append((found[2].strip(), found[1] != " "))
    return tuple(subtasks)
