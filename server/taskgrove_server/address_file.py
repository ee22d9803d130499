"""The file in the data directory that says where the server serves, for programs that start it or look for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)


class AddressFile:
    """One address a line, each as clients take it. Who waits for the file finds a server that serves."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = ""

    def clear(self) -> None:
        """Removes what a killed server has left: nothing is served there any more."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("The file %s of an earlier server's addresses cannot be removed: %s", self._path, error)

    def write(self, addresses: Sequence[str]) -> None:
        """Says where the server serves from now on. What keeps it from that is tried again by `keep`."""
        self._content = "".join(f"{address}\n" for address in addresses)
        try:
            self._put()
        except OSError as error:
            log.warning("The addresses cannot be written to %s yet: %s", self._path, error)

    def keep(self) -> None:
        """Makes the file again where it was removed; raises OSError."""
        if self._content and not self._path.exists():
            self._put()
            log.warning("The file %s of the addresses was gone; it is there again", self._path)

    def remove(self) -> None:
        """Removes the file at the end."""
        self._content = ""
        self.clear()

    def _put(self) -> None:
        """Writes the file in one step: nobody reads half of it."""
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self._content)
        new.rename(self._path)
