"""Which server the commands talk to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import click

import taskgrove
from taskgrove import connection
from taskgrove.cli import exits
from taskgrove.cli.rendering import safety


@dataclass(frozen=True, slots=True)
class Server:
    """The server that the global options name; None where the library decides."""

    target: str | None
    token: str | None
    tls: connection.Tls | None = None

    @classmethod
    def of(cls, options: Mapping[str, str | None]) -> Server:
        """Returns the server that the values of the global options name."""
        tls = connection.tls_of(**{name: options.get(f"tls_{name}") for name in ("ca", "cert", "key", "server_name")})
        return cls(options.get("target") or None, options.get("token") or None, tls)

    @property
    def address(self) -> str:
        """Returns the server's address."""
        return self.target or connection.default_target()

    @property
    def is_default(self) -> bool:
        """Tells whether this is the server of the default data directory, which `run` may start."""
        return self.address == connection.default_target()

    def connect(self, *, timeout: float = 30.0) -> taskgrove.Client:
        """Returns a client, to be used in a `with` statement; `timeout` bounds each call, in seconds.

        Raises Unreachable when the connection cannot be made as it was asked for.
        """
        try:
            return taskgrove.Client(self.target, token=self.token, tls=self.tls, timeout=timeout)
        except UnicodeEncodeError as error:
            raise exits.Unreachable(safety.plain(f"{self.address} is no address: it is not UTF-8.")) from error
        except (OSError, ValueError) as error:
            # A certificate that cannot be read, or a token that would travel unencrypted.
            raise exits.Unreachable(safety.plain(f"Cannot connect to {self.address}: {error}")) from error


#: Hands a command the server as its first argument.
pass_server = click.make_pass_decorator(Server)
