"""The file by which clients find the server's Unix socket, and which others may take away while it serves."""

from __future__ import annotations

import contextlib
from pathlib import Path

from taskgrove_server.api import addresses


class SocketFile:
    """A socket's file at a path. gRPC listens at another name; the file is then put in its place.

    gRPC removes the file at the name where it listened whenever it stops, without a look at whose it is by then.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # Of the same length, as the path may be as long as any, and the same each time, so that none are left over.
        first = "_" if self._path.name.startswith("~") else "~"
        self._listening = self._path.with_name(first + self._path.name[1:])
        self._identity: tuple[int, int] | None = None

    @property
    def target(self) -> str:
        """Returns what clients connect to."""
        return f"unix:{self._path}"

    @property
    def address(self) -> str:
        """Returns where to listen."""
        return f"unix:{self._listening}"

    def prepare(self) -> None:
        """Makes room for the file; raises AddressUnusable, also when it is another server's by now."""
        addresses.prepare_socket(str(self._path))

    def place(self) -> None:
        """Puts the file in its place, once the server listens."""
        self._listening.chmod(0o600)
        self._identity = _identity(self._listening)
        self._listening.rename(self._path)

    def is_there(self) -> bool:
        """Tells whether clients find the server. No later file is taken for this one: its inode is in use."""
        return self._identity is not None and _identity(self._path) == self._identity

    def remove(self) -> None:
        """Removes the file, unless it is another's by now."""
        with contextlib.suppress(OSError):
            if self.is_there():
                self._path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        state = path.lstat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
