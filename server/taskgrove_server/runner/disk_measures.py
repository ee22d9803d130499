"""What is measured of the disk: the places in the data directory, and the refs in repositories."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from taskgrove_server.runner import disk_walk
from taskgrove_server.runner.disk_usage import Measure
from taskgrove_server.store.store import Store
from taskgrove_server.worktrees import aside, commands, saving
from taskgrove_server.worktrees.shared import refs
from taskgrove_server.worktrees.worktrees import Worktrees

#: Seconds that a repository has to tell its refs.
PATIENCE = 30.0


def of_directory(name: str, directory: Path) -> Measure:
    """Returns what measures the files below a directory, but for what is left of others there."""
    return lambda stopped: {name: disk_walk.size(str(directory), stopped, without=aside.PLACE)}


def of_leftovers(*parents: Path) -> Measure:
    """Returns what measures what is left of directories that were removed from others."""
    places = [str(parent / aside.PLACE) for parent in parents]
    return lambda stopped: {"leftover_bytes": sum(disk_walk.size(place, stopped) for place in places)}


def of_database(path: Path) -> Measure:
    """Returns what measures a database with its journal."""

    def measure(_stopped: Callable[[], bool]) -> Mapping[str, int]:
        blocks = 0
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                blocks += path.with_name(f"{path.name}{suffix}").stat().st_blocks
        return {"database_bytes": blocks * disk_walk.BLOCK}

    return measure


class References:
    """Counts the refs that keep work which was removed, over the repositories of all lists."""

    def __init__(self, store: Store, worktrees: Worktrees) -> None:
        self._store = store
        self._worktrees = worktrees
        #: Repositories that have not answered yet.
        self._silent: set[str] = set()

    def __call__(self, stopped: Callable[[], bool]) -> Mapping[str, int]:
        """Returns how many there are; those of repositories that do not answer are not among them."""
        try:
            directories = {one.working_dir for one in self._store.task_lists.all() if one.working_dir is not None}
        finally:
            self._store.close_connection()
        counted: dict[str, tuple[int, int]] = {}
        for directory in sorted(directories - self._silent):
            if stopped():
                raise disk_walk.Stopped
            self._silent.add(directory)
            # Nobody can end a git that hangs in the kernel.
            asking = threading.Thread(target=self._count, args=(directory, counted), name="refs", daemon=True)
            asking.start()
            asking.join(PATIENCE)
        # Of one repository there may be several checkouts.
        found = list(counted.values())
        return {"saved_refs": sum(saved for saved, _ in found), "kept_refs": sum(kept for _, kept in found)}

    def _count(self, directory: str, counted: dict[str, tuple[int, int]]) -> None:
        try:
            repository = self._worktrees.common_dir(directory) or directory
            if repository not in counted:
                ask = functools.partial(self._worktrees.git, directory, "for-each-ref", "--format=%(objectname)")
                counted[repository] = (_lines(ask(saving.REFS)), _lines(ask(refs.KEPT)))
        except (commands.GitFailed, OSError):
            # One that is gone, or no repository any more, keeps nothing.
            return
        finally:
            self._silent.discard(directory)


def _lines(text: str) -> int:
    return len(text.splitlines())
