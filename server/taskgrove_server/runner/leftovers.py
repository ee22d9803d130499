"""What of removed directories could not be removed: told once, and tried again until it is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from taskgrove_server.worktrees import aside, removing

log = logging.getLogger(__name__)


class Leftovers:
    """Looks after what was set aside from the directories `parents`."""

    def __init__(self, parents: Sequence[Path]) -> None:
        self._parents = tuple(str(parent.resolve()) for parent in parents)
        #: Those that the log has told of; housekeeping comes by each minute, and would fill it.
        self._told: set[str] = set()

    def tell(self, path: str | None, reasons: str | None) -> None:
        """Has the log tell of a leftover, if there is one and it was not told of before."""
        if path is not None and path not in self._told:
            self._told.add(path)
            log.warning("Not all of %s could be removed, which is tried again each minute: %s", path, reasons)

    def remove(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Tries again to remove all that is left, also what a killed server had set aside."""
        for parent in self._parents:
            for place in aside.all_in(parent):
                if stopped():
                    return
                self._remove(place, stopped)

    def _remove(self, place: str, stopped: Callable[[], bool]) -> None:
        try:
            leftover = removing.clear(place, waits=False, stopped=stopped)
        except removing.Busy:
            return
        if leftover is None:
            log.info("%s is removed", place)
            self._told.discard(place)
        elif not stopped():
            self.tell(leftover.path, str(leftover))
