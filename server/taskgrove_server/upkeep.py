"""What the server does for itself once a second: tells its health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from taskgrove_server.api.server import Server
from taskgrove_server.guarding import Troubles

#: Seconds between two rounds.
INTERVAL = 1.0


class Upkeep:
    """Goes its rounds on the event loop, whatever they raise."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles

    async def run(self, server: Server) -> None:
        """Goes round until it is cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._guarded("health", server.tell_health())

    async def _guarded(self, name: str, step: Awaitable[None]) -> None:
        try:
            await step
        except Exception as error:  # noqa: BLE001 -- tried again in the next round
            self._troubles.note(name, error)
        else:
            self._troubles.clear(name)
