"""What a machine may be short of: it passes, and nobody's task is to blame."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Generator
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

#: In the words of git and of the interpreter, without numbers. They stand behind what was tried, and end what is said:
#: elsewhere they may be part of a file's name, or of what a filter says of something else.
_OF_WORDS = {
    "No space left on device": Shortage.ROOM,
    "Disk quota exceeded": Shortage.ROOM,
    "Resource temporarily unavailable": Shortage.MACHINE,
    "Cannot allocate memory": Shortage.MACHINE,
    "Too many open files": Shortage.MACHINE,
    "No buffer space available": Shortage.MACHINE,
    "Text file busy": Shortage.PROGRAM,
}
_REASON = re.compile(
    rf"\[Errno \d+\] (?P<numbered>{'|'.join(_OF_WORDS)})"
    rf"|(?:^|: )(?P<said>{'|'.join(_OF_WORDS)})(?:[.)]+(?=\s|$)|[ \t]*$)",
    re.MULTILINE,
)

#: In words of git's where it does not say why it cannot write.
_NOT_WRITTEN = re.compile(
    r"^(?:fatal|error): (?:\w+ file '.*' write error\. Out of diskspace|(?:.*: )?couldn't write '.*'"
    r"|(?:.*: )?[Uu]nable to write new index file)$",
    re.MULTILINE,
)

#: In our own words, and in those of the interpreter alone.
_OWN_WORDS = re.compile(r"(?:^|: )(?:git could not be started\b|can't start new thread$)", re.MULTILINE)


def of_errno(number: int | None) -> Shortage | None:
    """Returns what is short when the system refuses something with this number; None for what does not pass."""
    return None if number is None else _OF_ERRNO.get(number)


def of_words(words: str) -> Shortage | None:
    """Returns what is short in the words of a program that failed; None when they tell of no shortage."""
    if reason := _REASON.search(words):
        return _OF_WORDS[reason["numbered"] or reason["said"]]
    if _NOT_WRITTEN.search(words):
        return Shortage.ROOM
    return Shortage.MACHINE if _OWN_WORDS.search(words) else None


@contextlib.contextmanager
def suppressing_others() -> Generator[None]:
    """Suppresses OSError, but raises it for a shortage: what cannot be read for that may well be there."""
    try:
        yield
    except OSError as error:
        if of_errno(error.errno):
            raise
