"""When a server that nobody needs any more ends by itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable


class Idling:
    """Tells that there has been nothing to do for `enough` seconds, on the event loop; 0: never.

    `quiet` returns for how many seconds there has been no call, `is_active` whether there is work that goes on without
    one, and `leave` whether nobody is about to call, and then keeps out who comes later.
    """

    def __init__(
        self,
        enough: float,
        quiet: Callable[[], float],
        is_active: Callable[[], Awaitable[bool]],
        leave: Callable[[], bool],
    ) -> None:
        self._enough = enough
        self._quiet = quiet
        self._is_active = is_active
        self._leave = leave
        self._active_at = time.monotonic()

    async def is_over(self) -> bool:
        """Tells whether to end. The caller has to refuse calls before it gives the event loop another turn."""
        if not self._enough or self._is_short():
            return False
        if await self._is_active():
            self._active_at = time.monotonic()
            return False
        # A call may have come, and even gone, while the store was asked.
        return not self._is_short() and self._leave()

    def _is_short(self) -> bool:
        return min(self._quiet(), time.monotonic() - self._active_at) < self._enough
