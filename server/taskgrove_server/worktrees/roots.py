"""Which directories clients may name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath

from taskgrove_server.domain import errors


def canonical(path: str) -> str:
    """Returns an absolute path without symbolic links, whether or not anything is there.

    Raises DirectoryNotFound for a relative path, which would mean another place for every server, and for one
    with control characters, which no message or log could show truthfully.
    """
    if not PurePath(path).is_absolute() or any(character < " " or character == "\x7f" for character in path):
        raise errors.DirectoryNotFound(path)
    return os.path.realpath(path)


class AllowedRoots:
    """Holds the directories below which repositories may lie; with none, they may lie anywhere."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [canonical(root) for root in roots]

    @property
    def directories(self) -> list[str]:
        """Returns the directories, canonical; none when they may lie anywhere."""
        return list(self._roots)

    def check(self, path: str) -> str:
        """Returns the canonical path; raises PathNotAllowed outside the roots, else what `canonical` raises.

        Links are followed first, so that a link below a root is no way out.
        """
        resolved = canonical(path)
        if self._roots and not any(PurePath(resolved).is_relative_to(root) for root in self._roots):
            raise errors.PathNotAllowed(path)
        return resolved
