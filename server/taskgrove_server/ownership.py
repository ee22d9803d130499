"""The data directory: one server owns it at a time."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from taskgrove_server.guarding import Tellable

log = logging.getLogger(__name__)


class DataDirectoryUnusable(Tellable):
    """The data directory cannot be used; the message says why."""


class DataDirectory:
    """The places in a data directory, held with a lock for as long as the server lives."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "taskgrove.db"
        self.logs = root / "logs"
        self.runs = root / "runs"
        self.worktrees = root / "worktrees"
        self.sandboxes = root / "sandboxes"
        self.token = root / "token"
        self._lock = -1
        self._identity: os.stat_result | None = None

    def __enter__(self) -> Self:
        try:
            for directory in (self.root, self.logs, self.runs, self.worktrees, self.sandboxes):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._identity = self.root.stat()
            self._lock = self._take_lock()
        except OSError as error:
            raise DataDirectoryUnusable(f"The data directory {self.root} cannot be used: {error}") from error
        return self

    def keep(self) -> None:
        """Makes the file of the lock again where it was removed; raises DataDirectoryUnusable or OSError.

        The directory is not made again: it may have been moved away, or its disk be gone, and come back.
        """
        if not _is(self.root, self._identity):
            raise DataDirectoryUnusable(
                f"The data directory {self.root} is not at its place: bring it back, or end the server."
            )
        if not _is(self.root / "lock", os.fstat(self._lock)):
            held, self._lock = self._lock, self._take_lock()
            os.close(held)
            log.warning("The file of the lock was gone; it is there again")

    def _take_lock(self) -> int:
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise
            raise DataDirectoryUnusable(
                f"Another server (process {owner}) owns the data directory {self.root}: "
                "use that one, stop it, or choose another directory with --data-dir."
            ) from None
        return descriptor

    def leave(self) -> bool:
        """Tells whether no command relies on this server; then none does until this process has ended.

        Commands that start a server where none answers hold the lock, shared, for as long as they rely on it.
        """
        try:
            descriptor = os.open(self.root / "private-server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # Nobody relies on a server whose directory is gone.
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)


def _is(path: Path, state: os.stat_result | None) -> bool:
    try:
        return state is not None and os.path.samestat(path.stat(), state)
    except OSError:
        return False
