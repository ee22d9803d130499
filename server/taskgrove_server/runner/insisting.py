"""Steps that must not be lost: tried until they succeed."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import TypeVar

from taskgrove_server.domain import errors
from taskgrove_server.runner.mailbox import Detached, Mailbox

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two attempts. A full disk or a locked database is mended by people, not by hurry.
INTERVAL = 1.0

#: What a disk says that has no room, or of which the user has had a fair share.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def insist(step: Callable[[], T], mailbox: Mailbox) -> T:
    """Returns what the step returns, however long the store or the disk takes to have it done.

    Raises Detached when the server shuts down first: the next one finds the task as it is, and does the same.
    """
    while True:
        try:
            return step()
        except (errors.StoreUnavailable, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_ROOM:
                raise
            log.error("A step waits to be done: %s", error)
            if mailbox.detached or mailbox.stopped:
                raise Detached from error
            mailbox.wait(INTERVAL)
