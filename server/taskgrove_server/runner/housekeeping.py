"""What a server does from time to time, whether or not there is work."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping

from taskgrove_server.guarding import Steady, Troubles, guarded

#: Seconds between two rounds.
INTERVAL = 60.0


class Housekeeping:
    """Does chores in a thread of its own, one after the other, at once and then every so often.

    A chore is called with what tells whether the server stops, and should return soon once it does. One that fails
    is in trouble, and tried again in the next round.
    """

    def __init__(
        self,
        chores: Mapping[str, Callable[[Callable[[], bool]], None]],
        leave: Callable[[], None],
        troubles: Troubles,
    ) -> None:
        self._chores = chores
        self._troubles = troubles
        self._stopped = threading.Event()
        self._thread = Steady("housekeeping", self._round, troubles, leave=leave)

    def start(self) -> None:
        """Begins the first round."""
        self._thread.start()

    def stop(self) -> None:
        """Begins nothing more, and waits for the chore that is being done."""
        self._stopped.set()
        self._thread.stop()
        self._thread.join()

    def _round(self) -> None:
        for name, chore in self._chores.items():
            if self._stopped.is_set():
                break
            guarded(f"housekeeping: {name}", functools.partial(chore, self._stopped.is_set), self._troubles)
        self._stopped.wait(INTERVAL)
