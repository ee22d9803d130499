"""What git's conversions make of files: line endings, filters, encodings.

Some files differ from what git has of them from the moment they are checked out, since what git would store of them is
not what it has stored: a blob with CRLF under `*.txt text`, a raw file under `filter=lfs`. Nobody has changed them.
"""

from __future__ import annotations

import filecmp
import os
import stat
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from taskgrove_server.worktrees import commands


@contextmanager
def checked_out(git: commands.Git, checkout: str, tree: str, files: Sequence[str]) -> Generator[str]:
    """Yields a directory with those files of a tree as a checkout of them would have them. Raises GitFailed.

    `checkout` is where git finds the attributes. Links are links; submodules are left out.
    """
    with tempfile.TemporaryDirectory(prefix="taskgrove-") as scratch:
        environment = {"GIT_INDEX_FILE": f"{scratch}/index"}
        git(checkout, "read-tree", tree, environment=environment)
        place = f"{scratch}/files"
        Path(place).mkdir()
        arguments = ("checkout-index", "--quiet", "--force", f"--prefix={place}/", "-z", "--stdin")
        git(checkout, *arguments, environment=environment, stdin=_joined(files))
        yield place


def same_as(git: commands.Git, checkout: str, tree: str, files: Sequence[str]) -> set[str]:
    """Returns those files of a checkout that are byte for byte what a checkout of the tree would have there."""
    if not files:
        return set()
    with checked_out(git, checkout, tree, files) as place:
        return {name for name in files if is_same(f"{checkout}/{name}", f"{place}/{name}")}


def is_same(one: str, other: str) -> bool:
    """Tells whether two files have the same kind, content and right to be executed."""
    try:
        first, second = os.lstat(one), os.lstat(other)
        if stat.S_ISLNK(first.st_mode) and stat.S_ISLNK(second.st_mode):
            return os.readlink(one) == os.readlink(other)  # noqa: PTH115 - as a string, like the other
        if not (stat.S_ISREG(first.st_mode) and stat.S_ISREG(second.st_mode)):
            return False
        return bool(first.st_mode & 0o100) == bool(second.st_mode & 0o100) and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _joined(files: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in files)
