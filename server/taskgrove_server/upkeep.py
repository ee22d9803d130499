"""What the server does for itself once a second: tells its health, restores its files, sees whether it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from taskgrove_server.address_file import AddressFile
from taskgrove_server.api.server import Server
from taskgrove_server.guarding import Troubles
from taskgrove_server.idling import Idling
from taskgrove_server.ownership import DataDirectory
from taskgrove_server.tokens import Token

T = TypeVar("T")

#: Seconds between two rounds.
INTERVAL = 1.0


class Upkeep:
    """Goes its rounds on the event loop, whatever they raise."""

    def __init__(
        self, data: DataDirectory, token: Token, address_file: AddressFile, idling: Idling, troubles: Troubles
    ) -> None:
        self._data = data
        self._token = token
        self._address_file = address_file
        self._idling = idling
        self._troubles = troubles

    async def run(self, server: Server, leave: Callable[[], None]) -> None:
        """Goes round until it is cancelled, or nobody needs the server: then it calls `leave` and returns."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._guarded("health", server.tell_health())
            await self._guarded("files", self._restore_files(server))
            if await self._guarded("idle exit", self._idling.is_over()):
                # At once: a call that came in between would be lost.
                leave()
                return

    async def _restore_files(self, server: Server) -> None:
        """Makes again what others have removed, such as cleaners of temporary files."""
        self._data.keep()
        self._token.current()
        self._address_file.keep()
        await server.restore_sockets()

    async def _guarded(self, name: str, step: Awaitable[T]) -> T | None:
        try:
            value = await step
        except Exception as error:  # noqa: BLE001 -- tried again in the next round
            self._troubles.note(name, error)
            return None
        self._troubles.clear(name)
        return value
