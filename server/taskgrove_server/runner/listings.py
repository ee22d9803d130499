"""Keeps the files of what was compared for a while: the pages of a listing come from one computation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.worktrees.changes import ChangedFile

#: Files of all listings that are kept. Each takes about 200 bytes, with a path of 40: 20 MB in all.
MOST_FILES = 100_000

#: Seconds for which a listing is kept from when it was made.
KEPT_FOR = 120.0


class Key(NamedTuple):
    """What a listing is of: a task, and two trees by their full ids, so that it never changes."""

    task_id: TaskId
    base: str
    tree: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files that differ, ordered by path, and their lines that were added and deleted."""

    files: Sequence[ChangedFile]
    insertions: int
    deletions: int

    @classmethod
    def of(cls, files: Sequence[ChangedFile]) -> Listing:
        """Returns a listing of files."""
        insertions = sum(file.insertions or 0 for file in files)
        return cls(files, insertions, sum(file.deletions or 0 for file in files))


class Listings:
    """Holds listings, up to `most_files` files of all together, for up to `kept_for` seconds.

    The oldest go first. One that is larger by itself is kept until another one comes: otherwise each of its pages
    would take as long as the whole. Safe to use from several threads.
    """

    def __init__(self, most_files: int = MOST_FILES, kept_for: float = KEPT_FOR) -> None:
        self._most_files = most_files
        self._kept_for = kept_for
        #: The oldest first, each with when it was made.
        self._kept: dict[Key, tuple[float, Listing]] = {}
        #: Locks of those that are being made, with how many want each.
        self._wanted: dict[Key, tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()

    @property
    def files(self) -> int:
        """Counts the files that are kept."""
        with self._lock:
            return self._count()

    def get(self, key: Key, make: Callable[[], Sequence[ChangedFile]]) -> Listing:
        """Returns a listing, by `make` if it is not kept; raises what that raises.

        Of several who ask for the same one, one makes it. Where that fails, as because its caller has left, the next
        one does.
        """
        with self._lock:
            if (found := self._find(key)) is not None:
                return found
            making, count = self._wanted.get(key, (threading.Lock(), 0))
            self._wanted[key] = making, count + 1
        try:
            with making:
                with self._lock:
                    if (found := self._find(key)) is not None:
                        return found
                listing = Listing.of(make())
                with self._lock:
                    self._keep(key, listing)
                return listing
        finally:
            with self._lock:
                making, count = self._wanted.pop(key)
                if count > 1:
                    self._wanted[key] = making, count - 1

    def drop(self) -> None:
        """Drops those whose time is over, also when nobody asks for any."""
        with self._lock:
            self._drop_old()

    def _find(self, key: Key) -> Listing | None:
        self._drop_old()
        found = self._kept.get(key)
        return found[1] if found else None

    def _keep(self, key: Key, listing: Listing) -> None:
        self._kept[key] = time.monotonic(), listing
        while len(self._kept) > 1 and self._count() > self._most_files:
            del self._kept[next(iter(self._kept))]

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._kept_for
        for key in [key for key, (made, _) in self._kept.items() if made < oldest]:
            del self._kept[key]

    def _count(self) -> int:
        return sum(len(listing.files) for _, listing in self._kept.values())
