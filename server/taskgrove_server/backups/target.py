"""Where a backup, or a restored directory, comes to be: beside its place, and moved there once it is whole.

<place>.partial  ->  <place>
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from taskgrove_server.backups import copying, manifest, refusals
from taskgrove_server.backups.refusals import NotSaved, TargetUnusable
from taskgrove_server.worktrees import removing

log = logging.getLogger(__name__)


class Target:
    """The place. Inside, `partial` is a directory that nobody else writes to; what fails leaves none behind."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.partial = place.parent / f"{place.name}.partial"
        self._lock = -1
        self._moved = False

    def check(self) -> None:
        """Raises TargetUnusable when there is something at the place already."""
        try:
            if self.place.is_symlink() or self.place.exists():
                if not self.place.is_dir() or any(self.place.iterdir()):
                    raise TargetUnusable(
                        f"There is something at {self.place} already, which is left as it is: name a directory that "
                        "does not exist, or is empty."
                    )
                if os.path.ismount(self.place):
                    raise TargetUnusable(
                        f"A disk is mounted at {self.place}: name a directory on it, such as "
                        f"{self.place / 'taskgrove'}."
                    )
        except OSError as error:
            raise TargetUnusable(f"{self.place} cannot be used: {refusals.told(error)}.") from error

    def __enter__(self) -> Self:
        self.check()
        try:
            self._begin()
        except OSError as error:
            self.__exit__(None, None, None)
            raise TargetUnusable(f"{self.partial} cannot be made: {refusals.told(error)}.") from error
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def finish(self) -> None:
        """Moves the directory, which is durable, to its place in one step."""
        copying.sync_directories(self.partial)
        try:
            # Takes the place of an empty directory, and of nothing else.
            self.partial.rename(self.place)
        except OSError as error:
            raise NotSaved(f"{self.place} could not be put in its place: {refusals.told(error)}.") from error
        self._moved = True
        try:
            copying.sync(self.place.parent)
        except OSError as error:
            raise NotSaved(
                f"{self.place} is there, but may not outlast a power cut: {refusals.told(error)}."
            ) from error

    def _begin(self) -> None:
        self.partial.mkdir(mode=0o700, exist_ok=True)
        self._take()
        if not manifest.is_begun(self.partial):
            self._leave()
            raise TargetUnusable(f"{self.partial} is in the way, and nothing that was begun here: move it elsewhere.")
        manifest.begin(self.partial)
        for path in self.partial.iterdir():
            # By which it is known as begun here.
            if path.name != manifest.NAME:
                _remove(path)

    def _take(self) -> None:
        """Takes the lock on the directory, which ends with the process that holds it."""
        self._lock = os.open(self.partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._leave()
            raise TargetUnusable(f"Another command is at work in {self.partial}: wait for its end.") from None
        except OSError as error:
            # Not every file server has locks for directories.
            log.info("There is no lock on %s: %s", self.partial, error)

    def _leave(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock == -1:
            return
        if not self._moved:
            with contextlib.suppress(OSError):
                self._clear_away()
        self._leave()

    def _clear_away(self) -> None:
        """Removes what was begun. The manifest goes last, and stays with what resists: by it the next one goes on."""
        for path in sorted(self.partial.iterdir(), key=lambda path: path.name == manifest.NAME):
            _remove(path)
        self.partial.rmdir()


def _remove(path: Path) -> None:
    """Removes a file or directory, also one with directories that may not be written to; raises OSError."""
    left = removing.clear(os.fspath(path))
    if left is not None:
        raise OSError(errno.ENOTEMPTY, f"something cannot be removed ({left})")
