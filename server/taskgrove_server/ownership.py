"""The data directory: one server owns it at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class DataDirectoryUnusable(Exception):
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

    def __enter__(self) -> Self:
        try:
            for directory in (self.root, self.logs, self.runs, self.worktrees, self.sandboxes):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise DataDirectoryUnusable(
                f"Another server (process {owner}) owns the data directory {self.root}: "
                "use that one, stop it, or choose another directory with --data-dir."
            ) from None
        except OSError as error:
            raise DataDirectoryUnusable(f"The data directory {self.root} cannot be used: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)
