"""What a machine may be short of: it passes, and nobody's task is to blame."""

from __future__ import annotations

import errno
from enum import Enum, auto


class Shortage(Enum):
    """What is short."""

    #: Room on a disk, for data or for files, or in a user's share of it.
    ROOM = auto()
    #: Processes, memory, open files, or the server's own program.
    MACHINE = auto()
    #: A program that is being written, as by an upgrade.
    PROGRAM = auto()


_OF_ERRNO = {
    errno.ENOSPC: Shortage.ROOM,
    errno.EDQUOT: Shortage.ROOM,
    errno.EAGAIN: Shortage.MACHINE,
    errno.ENOMEM: Shortage.MACHINE,
    errno.EMFILE: Shortage.MACHINE,
    errno.ENFILE: Shortage.MACHINE,
    errno.ENOBUFS: Shortage.MACHINE,
    errno.ETXTBSY: Shortage.PROGRAM,
}

#: In the words of git and of the interpreter, without numbers.
_OF_WORDS = {
    "No space left on device": Shortage.ROOM,
    "Disk quota exceeded": Shortage.ROOM,
    "Resource temporarily unavailable": Shortage.MACHINE,
    "Cannot allocate memory": Shortage.MACHINE,
    "Too many open files": Shortage.MACHINE,
    "No buffer space available": Shortage.MACHINE,
    "Text file busy": Shortage.PROGRAM,
    "git could not be started": Shortage.MACHINE,
    "can't start new thread": Shortage.MACHINE,
}


def of_errno(number: int | None) -> Shortage | None:
    """Returns what is short when the system refuses something with this number; None for what does not pass."""
    return None if number is None else _OF_ERRNO.get(number)


def of_words(words: str) -> Shortage | None:
    """Returns what is short in the words of a program that failed; None when they tell of no shortage."""
    return next((shortage for phrase, shortage in _OF_WORDS.items() if phrase in words), None)
