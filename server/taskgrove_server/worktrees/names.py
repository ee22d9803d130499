"""Names of branches."""

from __future__ import annotations

import re
import unicodedata

from taskgrove_server.domain import ids
from taskgrove_server.domain.ids import TaskId

#: The longest slug, in characters.
_SLUG = 40

#: Bytes of the longest name of a branch; git makes a file of each part of it.
_LONGEST = 250


def branch(prefix: str, task_id: TaskId, title: str, suffix: str = "") -> str:
    """Returns the name of a task's branch, such as "taskgrove/k3v9m2qxw7ab-fix-the-login".

    `suffix` is what a copy of a data directory puts behind the ids of its tasks, which others have too: see Owner.
    """
    words = slug(title)
    return f"{prefix}{task_id}{suffix}-{words}" if words else f"{prefix}{task_id}{suffix}"


def task_of(prefix: str, name: str, suffix: str = "") -> TaskId | None:
    """Returns the task whose branch a name is that `branch` may have made with that suffix; None for any other."""
    named, _, _ = name.removeprefix(prefix).partition("-")
    task_id = named[: ids.LENGTH]
    is_id = len(task_id) == ids.LENGTH and set(task_id) <= ids.ALPHABET
    return TaskId(task_id) if name.startswith(prefix) and is_id and named == f"{task_id}{suffix}" else None


def renamed(name: str, task_id: TaskId, suffix: str) -> str:
    """Returns the name of a branch or a worktree with another suffix behind the task's id."""
    before, _, after = name.partition(task_id)
    return f"{before}{task_id}{suffix}{re.sub('^[.][0-9a-z]+', '', after)}"


def slug(title: str) -> str:
    """Returns a title's words in ASCII, lower-case and joined by dashes; empty when it has none.

    Letters and digits alone are left, so that no title makes a name that git refuses.
    """
    folded = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    words: list[str] = re.findall("[a-z0-9]+", folded.replace("'", ""))
    if not words:
        return ""
    text = words[0][:_SLUG]
    for word in words[1:]:
        if len(text) + 1 + len(word) > _SLUG:
            break
        text += f"-{word}"
    return text


def is_branch(name: str) -> bool:
    """Tells whether git takes a name for a branch; the rules of git-check-ref-format(1).

    A name that begins with a dash is refused too, as `git branch` does.
    """
    if not name or name == "@" or name.startswith("-") or name.endswith((".", "/")) or len(name.encode()) > _LONGEST:
        return False
    if any(character <= " " or character == "\x7f" or character in "~^:?*[\\" for character in name):
        return False
    if ".." in name or "@{" in name:
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
