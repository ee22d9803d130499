"""Asks git and the file systems of the machine short questions while somebody waits, and not for ever.

A file system may hang, as one over a network whose server is gone, and so does whatever looks at it. Then the one who
asked about it is told so, and nobody else waits.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Any, TypeVar

from taskgrove_server.api.offloading import Work, admit, result
from taskgrove_server.domain import errors

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds in which a question has to be answered: less than clients wait, so that they are told what is wrong.
PATIENCE = 20.0


class Inquiries:
    """Questions, each in a thread of its own, so that none waits for another.

    A thread that hangs in the kernel can be ended by nobody: it counts among the calls that there may be, and keeps
    no server from ending. `interrupt` is called with a thread's identifier to end what it waits for.
    """

    def __init__(self, interrupt: Callable[[int], None], patience: float = PATIENCE) -> None:
        self._interrupt = interrupt
        self._patience = patience
        self._working: set[Future[Any]] = set()

    async def __call__(self, path: str, ask: Callable[..., T], *arguments: Any) -> T:
        """Returns what `ask` returns; a caller who leaves ends it. `path` is what is asked about.

        Raises TooManyCalls, and RepositoryFailed when there is no answer in time.
        """
        admit(len(self._working))
        work = Work(functools.partial(ask, *arguments), self._interrupt)
        working = self._begin(work)
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                return await result(working)
        except asyncio.CancelledError:
            work.end(working)
            raise
        except OSError as error:
            # That of the time limit is one, and so is that of a file server that has one of its own.
            if not limit.expired():
                raise errors.RepositoryFailed(f"{path!r} cannot be looked at: {error}") from error
            work.end(working)
            raise errors.RepositoryFailed(
                f"Looking at {path!r} took longer than {self._patience:g} seconds and was given up: see whether its "
                "file system answers, for instance with 'ls', and what git waits for there."
            ) from error

    def close(self, patience: float) -> None:
        """Waits for what is being asked, up to `patience` seconds; what hangs then ends with the process."""
        hanging = futures.wait(list(self._working), patience).not_done
        if hanging:
            log.warning("%d questions to file systems are not answered yet, and are left", len(hanging))

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        working: Future[T] = Future()

        def run() -> None:
            try:
                answer = work()
            except BaseException as error:  # noqa: BLE001 - handed to the one who asks
                working.set_exception(error)
            else:
                working.set_result(answer)

        # Not one of a pool, which are waited for when the process ends.
        thread = threading.Thread(target=run, name="inquiry", daemon=True)
        working.set_running_or_notify_cancel()
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is to be had
            self._working.discard(working)
            raise errors.TooManyCalls(len(self._working)) from error
        return working
