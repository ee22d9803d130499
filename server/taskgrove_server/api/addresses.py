"""The addresses that the server may serve at."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import socket
from collections.abc import Sequence

from taskgrove_server.guarding import Tellable

#: Port and host of a TCP address, as the system has it.
_Place = tuple[int, str]


class AddressUnusable(Tellable):
    """The server cannot serve at the address; the message says why."""


def socket_path(address: str) -> str | None:
    """Returns the path of a Unix socket's address, None of a TCP address."""
    path = address.removeprefix("unix:")
    return None if path == address else path


def require_apart(listen: Sequence[str]) -> None:
    """Raises AddressUnusable where two addresses are the same place, or one has the other in it."""
    for one, other in itertools.combinations(listen, 2):
        if _meet(one, other):
            raise AddressUnusable(f"{one} and {other} are, or include, the same place: leave one of them out.")
        if _are_alike(one, other):
            raise AddressUnusable(f"The sockets {one} and {other} have to differ in more than their first letter.")


def require_free(address: str, *, tls: bool) -> None:
    """Raises AddressUnusable for a TCP address that is malformed, taken, or open to others without TLS."""
    host, port = _parsed(address)
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not tls:
        raise AddressUnusable(
            f"{address}: without TLS, TCP is served on loopback addresses only (127.0.0.1, [::1], localhost): set "
            "tls_cert and tls_key, or reach the server from other machines through an SSH tunnel."
        )
    # gRPC does not say why it cannot bind.
    try:
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(place)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host can be that
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            why += ": choose another port; port 0 picks a free one"
        raise AddressUnusable(f"Cannot serve at {address}: {why}.") from error


def _parsed(address: str) -> tuple[str, int]:
    """Returns host and port of a TCP address."""
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    # Of a larger port gRPC takes the lower 16 bits.
    if not colon or not port.isdecimal() or int(port) > 65535 or bracketed != (":" in bare):
        raise AddressUnusable(
            f"{address!r} is no address: use 'unix:PATH' or 'HOST:PORT', such as 127.0.0.1:7431 or [::1]:7431."
        )
    return bare, int(port)


def _meet(one: str, other: str) -> bool:
    path, others_path = socket_path(one), socket_path(other)
    if path is not None and others_path is not None:
        return os.path.realpath(path) == os.path.realpath(others_path)
    if path is not None or others_path is not None:
        return False
    ours, others = _places(one), _places(other)
    wild = any(ipaddress.ip_address(host).is_unspecified for _, host in ours | others)
    # gRPC takes the wildcard of either family for both.
    return bool(ours & others) or (wild and {port for port, _ in ours} == {port for port, _ in others} != set())


def _are_alike(one: str, other: str) -> bool:
    """Tells whether one socket's file begins under the name of the other; see SocketFile."""
    path, others_path = socket_path(one), socket_path(other)
    if path is None or others_path is None:
        return False
    directory, name = os.path.split(path)
    others_directory, others_name = os.path.split(others_path)
    return name[1:] == others_name[1:] and os.path.realpath(directory) == os.path.realpath(others_directory)


def _places(address: str) -> frozenset[_Place]:
    """Returns where a TCP address is; nowhere yet if its port is picked when it is served, or its host is not known."""
    host, port = _parsed(address)
    if port == 0:
        return frozenset()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset((port, _plain(str(place[0]))) for *_, place in found)


def _plain(host: str) -> str:
    """Returns an address of IPv4 as such that is written as one of IPv6."""
    parsed = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
