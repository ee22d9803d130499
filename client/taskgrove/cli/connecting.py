"""Which server the commands talk to."""

from __future__ import annotations

from dataclasses import dataclass

import click

import taskgrove
from taskgrove import connection


@dataclass(frozen=True, slots=True)
class Server:
    """The server that the global options name; None where the library decides."""

    target: str | None
    token: str | None

    @property
    def address(self) -> str:
        """Returns the server's address."""
        return self.target or connection.default_target()

    @property
    def is_default(self) -> bool:
        """Tells whether this is the server of the default data directory, which `run` may start."""
        return self.address == connection.default_target()

    def connect(self, *, timeout: float = 30.0) -> taskgrove.Client:
        """Returns a client, to be used in a `with` statement; `timeout` bounds each call, in seconds."""
        return taskgrove.Client(self.target, token=self.token, timeout=timeout)


#: Hands a command the server as its first argument.
pass_server = click.make_pass_decorator(Server)
