"""Steps that must not be lost: tried until they succeed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from taskgrove_server.domain import errors
from taskgrove_server.runner import shortages
from taskgrove_server.runner.mailbox import Detached, Mailbox

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two attempts. A full disk or a locked database is mended by people, not by hurry.
INTERVAL = 1.0


def insist(step: Callable[[], T], mailbox: Mailbox) -> T:
    """Returns what the step returns, however long the store or the machine takes to have it done.

    A cancel ends no such step: what it asks for is to be stored, too.

    Raises Detached when the server shuts down first: the next one finds the task as it is, and does the same.
    """
    while True:
        try:
            return step()
        except Exception as error:
            if not isinstance(error, errors.StoreUnavailable) and shortages.of(error) is None:
                raise
            log.error("A step waits to be done: %s", error)
            if mailbox.detached or mailbox.stopped:
                raise Detached from error
            mailbox.wait(INTERVAL)
