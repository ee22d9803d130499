"""How much disk the server takes, measured in the background from time to time.

Each measuring has a thread of its own, so that a file system which does not answer holds up nobody; one that has not
ended is not begun again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from taskgrove_server.domain import clock
from taskgrove_server.runner import disk_walk

log = logging.getLogger(__name__)

#: Seconds from one measuring to the next.
INTERVAL = 600.0

#: Seconds after which what has not been measured is told of as unknown.
PATIENCE = 300.0

#: Measures some things by their names. Is given what tells it to stop, and may raise anything.
Measure = Callable[[Callable[[], bool]], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What was measured, by the names of the API's DiskUsage; what could not be measured is missing."""

    measured: Mapping[str, int]
    measure_time: datetime


class DiskUsages:
    """Measures. `current` may be read from any thread; it is None until all was measured once, or given up."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._meters = [_Meter(measure, self._tell) for measure in measures]
        self._lock = threading.Lock()
        self._begun: float | None = None
        self._told = True
        self.current: DiskUsage | None = None

    def measure(self, stopped: Callable[[], bool]) -> None:
        """Begins to measure when it is time to, and waits for nothing; see Housekeeping."""
        passed = float("inf") if self._begun is None else time.monotonic() - self._begun
        if passed >= INTERVAL:
            # One that ends at once waits for the others to have begun.
            with self._lock:
                self._begun, self._told = time.monotonic(), False
                for meter in self._meters:
                    meter.begin(stopped)
        elif passed >= PATIENCE and not self._told:
            self._told = True
            self._tell()

    def _tell(self) -> None:
        """Tells of what has been measured, once that is all; or, once others were given up, of each as it ends."""
        with self._lock:
            self._told = self._told or all(meter.ended for meter in self._meters)
            if not self._told:
                return
            measured = {name: value for meter in self._meters for name, value in meter.measured.items()}
            self.current = DiskUsage(measured, clock.now())


class _Meter:
    """One measuring, again and again."""

    def __init__(self, measure: Measure, tell: Callable[[], None]) -> None:
        self._measure = measure
        self._tell = tell
        self.measured: Mapping[str, int] = {}
        self.ended = True

    def begin(self, stopped: Callable[[], bool]) -> None:
        """Measures anew, unless the last time goes on."""
        if not self.ended:
            return
        self.measured, self.ended = {}, False
        thread = threading.Thread(target=self._run, args=(stopped,), name="disk-usage", daemon=True)
        try:
            thread.start()
        except BaseException:
            self.ended = True
            raise

    def _run(self, stopped: Callable[[], bool]) -> None:
        try:
            self.measured = self._measure(stopped)
        except disk_walk.Stopped:
            pass
        except Exception as error:  # noqa: BLE001 -- tried again next time
            log.warning("How much disk is taken could not be measured: %s", error)
        finally:
            self.ended = True
            self._tell()
