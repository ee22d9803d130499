"""Identifiers.

Tasks and lists have ids that a person types: 12 characters of base 32 carry 60 random bits. Runs and sessions
have UUIDs, which is what agents take for a session.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from typing import NewType

TaskId = NewType("TaskId", str)
TaskListId = NewType("TaskListId", str)
RunId = NewType("RunId", str)
SessionId = NewType("SessionId", str)

#: Characters in the id of a task or a list.
LENGTH = 12

ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")


def new_task_id() -> TaskId:
    """Returns a new random task id."""
    return TaskId(_random())


def new_task_list_id() -> TaskListId:
    """Returns a new random list id."""
    return TaskListId(_random())


def new_run_id() -> RunId:
    """Returns a new random run id, a UUID."""
    return RunId(str(uuid.uuid4()))


def new_session_id() -> SessionId:
    """Returns a new random session id, a UUID."""
    return SessionId(str(uuid.uuid4()))


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(8)).decode().lower()[:LENGTH]
