"""The data directory: one server owns it at a time."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from taskgrove_server import identity, originals
from taskgrove_server.guarding import Tellable
from taskgrove_server.identity import Arrival, Identity

log = logging.getLogger(__name__)


class DataDirectoryUnusable(Tellable):
    """The data directory cannot be used; the message says why."""


class DataDirectory:
    """The places in a data directory, held with a lock for as long as the server lives."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / originals.DATABASE
        self.logs = root / "logs"
        self.runs = root / originals.RUNS
        self.worktrees = root / originals.WORKTREES
        self.sandboxes = root / "sandboxes"
        self.token = root / "token"
        self.address = root / "address"
        self._lock = -1
        self._state: os.stat_result | None = None
        self._identity: Identity | None = None

    def __enter__(self) -> Self:
        try:
            for directory in (self.root, self.logs, self.runs, self.worktrees, self.sandboxes):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._state = self.root.stat()
            self._lock = self._take_lock()
            try:
                self._check_database()
                self._identity = self._identify()
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise DataDirectoryUnusable(f"The data directory {self.root} cannot be used: {error}") from error
        return self

    @property
    def identity(self) -> Identity:
        """Returns which data directory it is, while it is held."""
        if self._identity is None:
            raise RuntimeError(f"The data directory {self.root} is not held.")
        return self._identity

    def settle(self) -> None:
        """Notes that what followed from its having been copied or moved is done; raises DataDirectoryUnusable."""
        settled = self.identity.settled()
        if settled == self._identity:
            return
        try:
            settled.write(self.root)
            self._identity = settled
        except OSError as error:
            raise DataDirectoryUnusable(f"The data directory {self.root} cannot be used: {error}") from error

    def _check_database(self) -> None:
        """Raises DataDirectoryUnusable if there are logs of tasks, and no database that knows of them."""
        with suppress(FileNotFoundError):
            if self.database.stat().st_size:
                return
        if any(self.logs.iterdir()):
            raise DataDirectoryUnusable(
                f"{self.database} is missing or empty, while there are logs in {self.logs}: the directory was not "
                "copied as a whole, or has lost its database. Bring that back, with the files -wal and -shm beside "
                "it if there are any, or restore a backup; to begin anew, move the directory elsewhere."
            )

    def _identify(self) -> Identity:
        found = identity.establish(self.root)
        if found.arrival is Arrival.COPIED:
            log.warning(
                "The data directory %s is a copy of %s: it is %s from now on, and leaves the agents, worktrees and "
                "branches of that one alone",
                self.root,
                found.copied_from,
                found.id,
            )
        elif found.arrival is Arrival.MOVED:
            if found.moved_from == found.path:
                log.info("The data directory %s was restored, or replaced in its place", found.path)
            else:
                log.info("The data directory %s was moved to %s", found.moved_from, found.path)
        return found

    def keep(self) -> None:
        """Makes the file of the lock again where it was removed; raises DataDirectoryUnusable or OSError.

        The directory is not made again: it may have been moved away, or its disk be gone, and come back.
        """
        if not _is(self.root, self._state):
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
