"""What the Python programs of this directory were given, and how they describe what they saw."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import taskgrove
from taskgrove import watching
from taskgrove.diffs import Diff
from taskgrove.v1.change_pb2 import ChangedFile

Seen = dict[str, Any]

TARGET = os.environ["TASKGROVE_TARGET"]
TOKEN = os.environ["TASKGROVE_TOKEN"]
GIVEN: Seen = json.loads(os.environ["TASKGROVE_PARAMETERS"])


class Watched:
    """Describes the lines of a watch, which began after a line, and the task at its end."""

    def __init__(self, after_line: int = 0) -> None:
        self.last_line = after_line
        self._dense = True
        self._bytes = 0
        self._longest = 0
        self._digest = hashlib.sha256()
        self._runs: list[int] = []
        self._state: str | None = None

    def take(self, event: watching.WatchEvent) -> None:
        """Notes an event."""
        match event:
            case taskgrove.Line():
                self._dense = self._dense and event.number == self.last_line + 1
                self.last_line = event.number
                self._digest.update(event.data)
                self._bytes += len(event.data)
                self._longest = max(self._longest, len(event.data))
                if event.run_number not in self._runs:
                    self._runs.append(event.run_number)
            case watching.Rested():
                self._state = state(event.task)
            case _:
                pass

    def seen(self) -> Seen:
        """Returns the description."""
        return {
            "last_line": self.last_line,
            "dense": self._dense,
            "bytes": self._bytes,
            "longest": self._longest,
            "sha256": self._digest.hexdigest(),
            "runs": self._runs,
            "state": self._state,
        }


class Fed:
    """Describes events of the feed up to the end of the task that was given."""

    def __init__(self) -> None:
        self._sequences: list[int] = []
        self._kinds: list[str] = []

    def take(self, event: taskgrove.Event) -> bool:
        """Notes an event; returns whether it was the last."""
        self._sequences.append(event.sequence)
        if event.task_id != GIVEN["task_id"]:
            return False
        self._kinds.append(taskgrove.Event.Kind.Name(event.kind))
        return event.kind == taskgrove.Event.KIND_TASK_FINISHED

    def seen(self) -> Seen:
        """Returns the description."""
        first = self._sequences[0]
        return {
            "first_sequence": first,
            "events": len(self._sequences),
            "dense": self._sequences == list(range(first, first + len(self._sequences))),
            "kinds": self._kinds,
        }


def compared(diff: Diff) -> Seen:
    """Describes a diff, which the client returns only when it has come to its end."""
    patches = b"".join(each.patch for each in diff.files)
    return {
        "base_commit": diff.summary.base_commit,
        "head_commit": diff.summary.head_commit,
        "files": [
            {
                "path": each.file.path,
                "kind": ChangedFile.Kind.Name(each.file.kind),
                "insertions": each.file.insertions,
                "deletions": each.file.deletions,
            }
            for each in diff.files
        ],
        "bytes": len(patches),
        "sha256": hashlib.sha256(patches).hexdigest(),
        "ended": True,
    }


def refusal(error: taskgrove.TaskgroveError) -> Seen:
    """Describes how a call was refused."""
    return {
        "code": error.code and error.code.name,
        "reason": error.reason,
        "metadata": dict(error.metadata),
        "violations": error.violations if isinstance(error, taskgrove.InvalidRequest) else [],
    }


def state(task: taskgrove.Task) -> str:
    """Returns the name of a task's state."""
    return taskgrove.Task.State.Name(task.state)


def outcome(response: taskgrove.CancelResponse) -> str:
    """Returns the name of what came of a cancel."""
    return taskgrove.CancelResponse.Outcome.Name(response.outcome)
