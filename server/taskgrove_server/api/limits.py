"""How many streams are served at once."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from taskgrove_server.domain import errors


class StreamLimit:
    """Bounds the streams of watchers and readers, each of which may hold a log open. Lives on the loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    @contextlib.contextmanager
    def place(self) -> Generator[None]:
        """Takes a place; raises TooManyWatchers when there is none."""
        if self._count >= self._most:
            raise errors.TooManyWatchers(self._most)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
