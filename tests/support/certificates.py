"""Certificates for TLS, made for one test."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import trustme


class Certificates:
    """An authority, and the files of a server and of a client that it vouches for."""

    def __init__(self, directory: Path, name: str = "ca.pem") -> None:
        #: Where the files are.
        self.directory = directory
        #: The file of the authority.
        self.ca = directory / name
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.ca)

    def write(
        self,
        name: str,
        *identities: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> tuple[Path, Path]:
        """Writes a certificate and its key, and returns their paths."""
        issued = self._authority.issue_cert(*identities, not_before=not_before, not_after=not_after)
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        # In one step each, as what renews certificates does it.
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        for path, content in ((key, issued.private_key_pem.bytes()), (cert, chain)):
            new = path.with_suffix(".new")
            new.touch(mode=0o600)
            new.write_bytes(content)
            new.rename(path)
        return cert, key

    def server_flags(self, *identities: str) -> list[str]:
        """Writes the certificate of a server, and returns the flags that make it use it."""
        cert, key = self.write("server", *identities)
        return ["--tls-cert", str(cert), "--tls-key", str(key)]
