"""What programs say when the machine is short of something, and what sounds like it."""

from __future__ import annotations

import pytest

from taskgrove_server.domain import shortages
from taskgrove_server.domain.shortages import Shortage


@pytest.mark.parametrize(
    ("words", "short"),
    [
        ("fatal: cannot create directory at 'a': No space left on device", Shortage.ROOM),
        ("error: file write error\nfatal: Unable to create 'a.lock': Disk quota exceeded.\nhint: more", Shortage.ROOM),
        ("fatal: sha1 file '/r/.git/index.lock' write error. Out of diskspace", Shortage.ROOM),
        ("fatal: cannot update ref 'refs/heads/a': couldn't write '/r/.git/refs/heads/a.lock'\n", Shortage.ROOM),
        ("error: something\nfatal: unable to write new index file", Shortage.ROOM),
        ("The run could not be started: [Errno 24] Too many open files: '/data/runs/1'", Shortage.MACHINE),
        ("error: cannot fork() for git-remote-https: Resource temporarily unavailable\n", Shortage.MACHINE),
        ("Cannot allocate memory", Shortage.MACHINE),
        ("The program 'a' cannot be started: Text file busy.", Shortage.PROGRAM),
        ("can't start new thread", Shortage.MACHINE),
        ("The repository cannot be used: git could not be started: [Errno 2] No such file", Shortage.MACHINE),
    ],
)
def test_a_shortage_is_known_by_its_words(words: str, short: Shortage) -> None:
    assert shortages.of_words(words) is short


@pytest.mark.parametrize(
    "words",
    [
        "fatal: Too many open files.md: clean filter 'test' failed",
        "fatal: pathspec 'No space left on device' did not match any files",
        "The task cannot start in 'Text file busy', which was not checked out.",
        "error: external filter 'echo: Cannot allocate memory to this' failed 1",
        "fatal: Out of diskspace.md: clean filter 'test' failed",
        "fatal: couldn't write 'a': clean filter 'test' failed",
        "hook: I can't start new threads here",
    ],
)
def test_what_only_sounds_like_one_is_none(words: str) -> None:
    assert shortages.of_words(words) is None
