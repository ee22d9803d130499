"""The addresses that the server may serve at."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from taskgrove_server.guarding import Tellable

#: Bytes of the longest path that a Unix socket may have.
LONGEST_SOCKET_PATH = 107


class AddressUnusable(Tellable):
    """The server cannot serve at the address; the message says why."""


def prepare_socket(path: str) -> None:
    """Makes the private directory of a socket, and its place in it free; raises AddressUnusable.

    gRPC tells nobody who calls over a socket (grpc/grpc#28755): the directory is what keeps others out.
    """
    if not path.startswith("/"):
        raise AddressUnusable(f"unix:{path}: the socket's path must be absolute.")
    if len(path.encode()) > LONGEST_SOCKET_PATH:
        raise AddressUnusable(
            f"The socket path {path} has more than {LONGEST_SOCKET_PATH} bytes, which the system does not take: "
            "choose a shorter one with --listen unix:PATH."
        )
    directory = Path(path).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = directory.stat()
        if state.st_uid != os.geteuid():
            raise AddressUnusable(
                f"The directory {directory} of the socket belongs to another user, who could reach the socket and "
                "start programs: choose one of your own with --listen unix:PATH."
            )
        if state.st_mode & 0o077:
            raise AddressUnusable(
                f"The directory {directory} of the socket is open to other users, and whoever reaches the socket "
                f"can start programs: run 'chmod 700 {directory}', or choose another one."
            )
        _remove_stale_socket(path)
    except OSError as error:
        raise AddressUnusable(f"Cannot serve at unix:{path}: {error}") from error


def _remove_stale_socket(path: str) -> None:
    """Removes a socket that a killed server left. gRPC would take the place of one that is served, too."""
    with socket.socket(socket.AF_UNIX) as caller:
        # One that is served, but by a server that is stopped, would keep the caller waiting.
        caller.setblocking(False)
        try:
            caller.connect(path)
        except FileNotFoundError:
            return
        except BlockingIOError:
            raise _taken(path) from None
        except ConnectionRefusedError:
            if not Path(path).is_socket():
                raise AddressUnusable(f"{path} is not a socket: choose another path with --listen unix:PATH.") from None
            Path(path).unlink()
        else:
            raise _taken(path)


def _taken(path: str) -> AddressUnusable:
    return AddressUnusable(f"Another server serves at unix:{path}: choose another path with --listen unix:PATH.")


def require_free(address: str, *, tls: bool) -> None:
    """Raises AddressUnusable for a TCP address that is malformed, taken, or open to others without TLS."""
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    # Of a larger port gRPC takes the lower 16 bits.
    if not colon or not port.isdecimal() or int(port) > 65535 or bracketed != (":" in bare):
        raise AddressUnusable(
            f"{address!r} is no address: use 'unix:PATH' or 'HOST:PORT', such as 127.0.0.1:7431 or [::1]:7431."
        )
    try:
        loopback = bare == "localhost" or ipaddress.ip_address(bare).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not tls:
        raise AddressUnusable(
            f"{address}: without TLS, TCP is served on loopback addresses only (127.0.0.1, [::1], localhost): set "
            "tls_cert and tls_key, or reach the server from other machines through an SSH tunnel."
        )
    # gRPC does not say why it cannot bind.
    try:
        for family, kind, _, _, place in socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(place)
    except OSError as error:
        raise AddressUnusable(f"Cannot serve at {address}: {error.strerror or error}.") from error
