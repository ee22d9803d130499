"""What is told of a repository: plain sentences for a person, without secrets, and not too many."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

#: The longest sentence, in characters, and how many a run tells.
LONGEST = 500
MOST = 50

#: Names of new things that one sentence lists.
_LISTED = 5

#: Characters of a name, such as a stash entry's message, that are quoted.
_NAME = 100

#: What stands for a user in the address of a remote, which may be a password or a token.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def told(sentences: Iterable[str]) -> tuple[str, ...]:
    """Returns sentences as they are stored: each once, clean, and cut to the limits."""
    clean = tuple(dict.fromkeys(map(_clean, sentences)))
    if len(clean) <= MOST:
        return clean
    return (*clean[: MOST - 1], f"The repository has {len(clean) - MOST + 1} more changes.")


def quoted(name: str) -> str:
    """Returns the name of something in quotes, on one line."""
    text = _clean(name)
    return repr(text if len(text) <= _NAME else f"{text[: _NAME - 1]}…")


def listed(names: Iterable[str]) -> str:
    """Returns the first of some names in quotes, and how many more there are."""
    every = list(names)
    shown = ", ".join(map(quoted, every[:_LISTED]))
    return f"{shown} and {len(every) - _LISTED} more" if len(every) > _LISTED else shown


def command(*words: str) -> str:
    """Returns a command as a person types it into a shell."""
    return shlex.join(words)


def _clean(text: str) -> str:
    """Returns a text without credentials, bytes that are no UTF-8, and what would control a terminal."""
    valid = os.fsencode(_CREDENTIALS.sub("***", text)).decode(errors="replace")
    line = "".join(character if character.isprintable() else " " for character in valid)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
