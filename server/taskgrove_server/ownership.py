"""The data directory: one server owns it at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

#: Characters that a token has at least; a person may write one into the file.
SHORTEST_TOKEN = 32


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

    def token(self) -> str:
        """Returns the bearer token of the server, made at first use; only its owner can read the file."""
        path = self.root / "token"
        try:
            if not path.exists():
                _write_secret(path, secrets.token_urlsafe(32))
            token = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataDirectoryUnusable(f"The token in {path} cannot be used: {error}") from error
        if len(token) < SHORTEST_TOKEN:
            raise DataDirectoryUnusable(
                f"The token in {path} has fewer than {SHORTEST_TOKEN} characters: delete the file to get a new one."
            )
        return token


def _write_secret(path: Path, secret: str) -> None:
    """Writes a file in one step: a server that is killed half-way must not leave an empty one."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")
    new.rename(path)
