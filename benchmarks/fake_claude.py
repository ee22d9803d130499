"""A program that passes for Claude Code: it prints what that prints, and costs next to nothing itself."""

from __future__ import annotations

import json
from pathlib import Path

_SESSION = "00000000-0000-4000-8000-000000000000"

#: The first line of a run.
INIT = json.dumps({"type": "system", "subtype": "init", "session_id": _SESSION, "model": "fake", "tools": []})

#: The last line of a run that ends well.
RESULT = json.dumps(
    {"type": "result", "subtype": "success", "is_error": False, "result": "Done", "session_id": _SESSION}
)


def write(path: Path, script: str) -> Path:
    """Writes the program, which does what a script of shell says; returns its path."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o700)
    return path


def message(size: int) -> str:
    """Returns a line of the agent's words, of `size` bytes with its newline."""
    words = {"type": "assistant", "session_id": _SESSION, "message": {"content": [{"type": "text", "text": ""}]}}
    empty = json.dumps(words)
    return empty.replace('"text": ""', f'"text": "{"x" * (size - len(empty) - 1)}"')
