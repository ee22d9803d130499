"""What a server does from time to time, whether or not there is work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

#: Seconds between two rounds.
INTERVAL = 60.0


class Housekeeping:
    """Does chores in a thread of its own, one after the other, at once and then every so often.

    A chore is called with what tells whether the server stops, and should return soon once it does. One that fails
    is logged and tried again in the next round.
    """

    def __init__(self, chores: Mapping[str, Callable[[Callable[[], bool]], None]], leave: Callable[[], None]) -> None:
        self._chores = chores
        self._leave = leave
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begins the first round."""
        self._thread.start()

    def stop(self) -> None:
        """Begins nothing more, and waits for the chore that is being done."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for name, chore in self._chores.items():
                if self._stopped.is_set():
                    break
                try:
                    chore(self._stopped.is_set)
                except Exception as error:
                    log.error("Housekeeping could not be done (%s): %s", name, error, exc_info=error)
            self._stopped.wait(INTERVAL)
        self._leave()
