"""Writes that must not be lost: tried until they are on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from taskgrove_server.domain import errors
from taskgrove_server.runner.mailbox import Detached, Mailbox

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two attempts. A full disk or a locked database is mended by people, not by hurry.
INTERVAL = 1.0


def insist(write: Callable[[], Future[T]], mailbox: Mailbox) -> T:
    """Returns what the write returns, however long the store takes to accept it.

    Raises Detached when the server shuts down first: the next one finds the task as it is, and does the same.
    """
    while True:
        try:
            return write().result()
        except errors.StoreUnavailable as error:
            log.error("A change waits to be stored: %s", error)
            if mailbox.detached:
                raise Detached from error
            mailbox.wait(INTERVAL)
