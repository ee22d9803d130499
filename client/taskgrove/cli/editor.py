"""Lets a person edit a text in a program of their choice."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskgrove.cli import exits

#: What POSIX systems have.
_DEFAULT = "vi"


def program(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the editor as a shell line: $VISUAL, else $EDITOR, else vi."""
    return environment.get("VISUAL") or environment.get("EDITOR") or _DEFAULT


@dataclass(slots=True)
class Edited:
    """A text that was edited, and the file that has it."""

    text: str
    path: Path
    #: Whether the file outlives the block: what a person has typed is not thrown away when it could not be used.
    kept: bool = False

    def refuse(self, why: str) -> exits.Refused:
        """Returns the error that tells why the text could not be used, and where it is; the file is kept."""
        self.kept = True
        return exits.Refused(f"{why} Nothing was changed; your text is kept in {self.path}")


@contextlib.contextmanager
def edited(text: str, name: str) -> Generator[Edited]:
    """Opens the editor on a text and yields what became of it; `name` begins the name of the file."""
    descriptor, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".md")
    file = Edited(text, Path(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        _run(program(), path)
        try:
            file.text = file.path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise file.refuse(f"The text cannot be read: {error}.") from error
        yield file
    finally:
        if not file.kept:
            file.path.unlink(missing_ok=True)


def _run(editor: str, path: str) -> None:
    # As git does it: the editor may have arguments, and the path may have any characters.
    status = subprocess.run(["/bin/sh", "-c", f'{editor} "$@"', editor, path]).returncode
    if status:
        raise exits.Refused(f"The editor {editor!r} ended with status {status}: nothing was changed.")
