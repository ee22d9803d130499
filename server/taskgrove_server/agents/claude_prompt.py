"""The message that hands a prompt to Claude Code as text for the model, whatever is in it.

Claude Code takes a message that begins with a slash for a command of its own, of a skill or of the repository:
`/clear the cache` ends with "success", and the model is never asked. There is no form for plain text that all releases
know. `text_not_typed` is one (2.1.330 has it; older ones, such as 2.1.197, ignore it): with it neither commands, nor
`@file`, nor words such as "ultrathink" do anything but stand there. For the others a line of ours goes before what
begins with a slash, since no release looks for a command further down; leading white space would do as well today, and
only for as long as no release trims it. `--disable-slash-commands` is no way: it takes the agent's skills away.
"""

from __future__ import annotations

import unicodedata
from typing import Any

#: Stands before a prompt that would be taken for a command: neutral, as it may be a task or a word in between.
FIRST_LINE = "The user writes:"


def message(prompt: str) -> dict[str, Any]:
    """Returns the message for a prompt."""
    content = f"{FIRST_LINE}\n\n{prompt}" if _is_command(prompt) else prompt
    return {"type": "user", "message": {"role": "user", "content": content}, "text_not_typed": True}


def _is_command(prompt: str) -> bool:
    # What cannot be seen may be trimmed: white space, and the like of a byte order mark.
    seen = (character for character in prompt if unicodedata.category(character)[0] not in "CZ")
    return unicodedata.normalize("NFKC", next(seen, "")) == "/"
