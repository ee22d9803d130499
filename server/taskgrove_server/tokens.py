"""The bearer token: a file that only its owner can read, made at first use, and followed when it is replaced."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import threading
import time
from pathlib import Path

from taskgrove_server.guarding import Tellable, Troubles, guarded

log = logging.getLogger(__name__)

#: Characters that a token has at least; a person may write one into the file.
SHORTEST = 32

#: Seconds between two looks at the file.
_INTERVAL = 1.0


class TokenUnusable(Tellable):
    """The token file cannot be used; the message says why."""


class Token:
    """The token in a file."""

    def __init__(self, path: Path, troubles: Troubles | None = None) -> None:
        self._path = path
        self._troubles = troubles or Troubles()
        self._lock = threading.Lock()
        if not path.exists():
            rotate(path)
        self._state = _state(path)
        self._token = _read(path)
        self._looked = time.monotonic()

    def matches(self, given: str) -> bool:
        """Tells whether it is the token that the file holds, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(given.encode(), self.current().encode())

    def current(self) -> str:
        """Returns the token that the file holds, which is made again where it was removed."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _INTERVAL:
                self._looked = now
                guarded("token", self._follow, self._troubles)
            return self._token

    def _follow(self) -> None:
        try:
            if not self._path.exists():
                _put(self._path, self._token)
                log.warning("The file %s of the token was gone; it is there again", self._path)
            state = _state(self._path)
            if state != self._state:
                token = _read(self._path)
                self._state = state
                if token != self._token:
                    self._token = token
                    log.info("The token was replaced")
        except TokenUnusable as error:
            raise TokenUnusable(f"The token stays as it was: {error}") from error


def rotate(path: Path) -> None:
    """Puts a new token into a file; raises TokenUnusable."""
    _put(path, secrets.token_urlsafe(32))


def _put(path: Path, token: str) -> None:
    """Puts a token into a file, in one step: a server that is killed half-way must not leave an empty one."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as error:
        raise TokenUnusable(f"The token in {path} cannot be written: {error}") from error


def _state(path: Path) -> tuple[int, int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise TokenUnusable(f"The token in {path} cannot be used: {error}") from error
    return state.st_ino, state.st_mtime_ns, state.st_size


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenUnusable(f"The token in {path} cannot be used: {error}") from error
    if len(token) < SHORTEST:
        raise TokenUnusable(
            f"The token in {path} has fewer than {SHORTEST} characters: delete the file to get a new one, or run "
            "'taskgroved --rotate-token'."
        )
    return token
