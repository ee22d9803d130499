"""The file by which clients find the server's Unix socket, and which others may take away while it serves."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import grpc

from taskgrove_server.api import socket_directories
from taskgrove_server.api.addresses import AddressUnusable


class SocketFile:
    """A socket's file at a path. gRPC listens at another name; the file is then put in its place.

    gRPC removes the file at the name where it listened whenever it stops, without a look at whose it is by then.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if not self._path.name:
            raise AddressUnusable(f"unix:{path}: name the socket's file, such as --listen unix:/run/taskgrove/socket.")
        # Of the same length, as the path may be as long as any, and the same each time, so that none are left over.
        first = "_" if self._path.name.startswith("~") else "~"
        self._listening = self._path.with_name(first + self._path.name[1:])
        self._identity: tuple[int, int] | None = None

    @property
    def target(self) -> str:
        """Returns what clients connect to."""
        return f"unix:{self._path}"

    def check(self) -> None:
        """Raises AddressUnusable where the file cannot be, also because it is another server's."""
        try:
            socket_directories.check(self._path)
            _remove_stale(self._path)
        except OSError as error:
            raise AddressUnusable(f"Cannot serve at {self.target}: {error}") from error

    def listen(self, server: grpc.aio.Server) -> None:
        """Has a server that is not started yet listen, and puts the file in its place; raises AddressUnusable.

        Whoever calls from then on waits until the server is started.
        """
        self.check()
        try:
            socket_directories.make(self._path)
            # The directory may have been there by now, and is no other's then.
            self.check()
            try:
                server.add_insecure_port(f"unix:{self._listening}")
                self._place()
            finally:
                self._listening.unlink(missing_ok=True)
        except (RuntimeError, OSError) as error:
            raise AddressUnusable(f"Cannot serve at {self.target}: {error}") from error

    def _place(self) -> None:
        self._listening.chmod(0o600)
        # Another server may have come meanwhile.
        self.check()
        self._identity = _identity(self._listening)
        self._listening.rename(self._path)

    def warn_of_neighbours(self) -> None:
        """Says in the log where others could put a socket of theirs in the place of this one."""
        socket_directories.warn_of_neighbours(self._path)

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


def _remove_stale(path: Path) -> None:
    """Removes a socket that a killed server left. gRPC would take the place of one that is served, too."""
    with socket.socket(socket.AF_UNIX) as caller:
        # One that is served, but by a server that is stopped, would keep the caller waiting.
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except FileNotFoundError:
            return
        except BlockingIOError:
            raise _taken(path) from None
        except ConnectionRefusedError:
            if not path.is_socket():
                raise AddressUnusable(f"{path} is not a socket: choose another path with --listen unix:PATH.") from None
            path.unlink()
        else:
            raise _taken(path)


def _taken(path: Path) -> AddressUnusable:
    return AddressUnusable(f"Another server serves at unix:{path}: choose another path with --listen unix:PATH.")
