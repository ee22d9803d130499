"""TLS: the server's certificate, and perhaps those of clients, which are read again when their files change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc

from taskgrove_server.guarding import Tellable, Troubles, guarded

log = logging.getLogger(__name__)

_Files = tuple[bytes, bytes, bytes | None]


class TlsUnusable(Tellable):
    """The files of TLS cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate chain and its key are, and the authorities whose clients are let in, if only those are."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class Tls:
    """Credentials of a server, for as many ports as it has."""

    def __init__(self, files: TlsFiles, troubles: Troubles | None = None) -> None:
        self._files = files
        self._troubles = troubles or Troubles()
        _read(files)

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what a port is opened with; each port needs its own, which follow their files by themselves."""
        return _Following(self._files, self._troubles).credentials()


class _Following:
    """Credentials of a port that follow their files, so that a renewed certificate needs no restart."""

    def __init__(self, files: TlsFiles, troubles: Troubles) -> None:
        self._files = files
        self._troubles = troubles
        self._lock = threading.Lock()
        self._states = self._look()

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what the port is opened with."""
        # Its types do not know that None means that nothing has changed.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._follow)
        wants_clients = self._files.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(
            _configuration(_read(self._files)), fetch, require_client_authentication=wants_clients
        )

    def _follow(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns new certificates, None while there are none that can be used; gRPC asks for each connection."""
        return guarded("certificates", self._renewed, self._troubles)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            states = self._look()
            if states == self._states:
                return None
            try:
                renewed = _configuration(_read(self._files))
            except TlsUnusable as error:
                raise TlsUnusable(f"The certificates stay as they were: {error}") from error
            self._states = states
        log.info("The certificates were renewed")
        return renewed

    def _look(self) -> tuple[object, ...]:
        paths = [self._files.cert, self._files.key, *filter(None, [self._files.client_ca])]
        return tuple(_state(path) for path in paths)


def _read(files: TlsFiles) -> _Files:
    return _pem(files.cert), _private(files.key), _pem(files.client_ca) if files.client_ca else None


def _configuration(read: _Files) -> grpc.ServerCertificateConfiguration:
    cert, key, client_ca = read
    return grpc.ssl_server_certificate_configuration([(key, cert)], client_ca)


def _state(path: Path) -> object:
    try:
        state = path.stat()
    except OSError as error:
        return error.errno
    return state.st_ino, state.st_mtime_ns, state.st_size


def _private(path: Path) -> bytes:
    content = _pem(path)
    if path.stat().st_mode & 0o007:
        raise TlsUnusable(f"The key {path} can be read by every user: run 'chmod 600 {path}'.")
    return content


def _pem(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TlsUnusable(f"{path} cannot be read: {error.strerror or error}.") from error
    # gRPC says no more of a file that it cannot use than that the port could not be opened.
    if b"-----BEGIN " not in content:
        raise TlsUnusable(f"{path} is no PEM file: it has no line that begins with '-----BEGIN '.")
    return content
