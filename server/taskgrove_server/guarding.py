"""Keeps what must go on going: a thread that lives as long as the server outlives whatever its steps raise.

    step raises --> note (log, list of troubles) --> pause, longer each time --> step again
    step is done --> clear

What a thread of Python raises otherwise ends it, unseen by all who wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from taskgrove_server.domain import clock, errors

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that a thread pauses after its first failure in a row, and at most.
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

#: What Python says where the system grants no further thread; the error is a mere RuntimeError.
NO_THREAD = "can't start new thread"

#: Characters of the longest message.
LONGEST_MESSAGE = 300


class Tellable(Exception):
    """The base of errors whose message is for everybody who asks the server how it is: it holds no secret."""


#: Errors whose message says all there is to know.
_SAYS_ALL = (Tellable, errors.StoreUnavailable)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that fails, and is tried again and again."""

    name: str
    #: What it failed with last: a sentence without its full stop.
    message: str
    #: How often it has failed in a row.
    count: int
    begin_time: datetime
    #: The server cannot go on without it.
    vital: bool = False


class Troubles:
    """What is in trouble at the moment. May be used from any thread; no method raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, Trouble] = {}

    def note(self, name: str, error: BaseException, *, vital: bool = False) -> None:
        """Takes down a failure. The first in a row is logged, then each that doubles the row."""
        # Where memory is short, even this may fail; whoever notes a failure has to go on all the same.
        with contextlib.suppress(Exception):
            with self._lock:
                before = self._by_name.get(name)
                if before is None:
                    trouble = Trouble(name, told(error), 1, clock.now(), vital)
                else:
                    trouble = replace(before, message=told(error), count=before.count + 1, vital=vital or before.vital)
                self._by_name[name] = trouble
            if before is None:
                trace = None if isinstance(error, _SAYS_ALL) or is_shortage(error) else error
                log.error("In trouble: %s: %s", name, trouble.message, exc_info=trace)
            elif trouble.count & (trouble.count - 1) == 0:
                log.error("Still in trouble, for the %dth time: %s: %s", trouble.count, name, trouble.message)

    def clear(self, name: str) -> None:
        """Takes down that something goes on. Costs next to nothing while there is no trouble with it."""
        if name not in self._by_name:
            return
        with contextlib.suppress(Exception):
            with self._lock:
                ended = self._by_name.pop(name, None)
            if ended is not None:
                log.warning("Goes on again, after %d failures: %s", ended.count, name)

    def current(self) -> tuple[Trouble, ...]:
        """Returns the troubles that last, by name."""
        with self._lock:
            return tuple(self._by_name[name] for name in sorted(self._by_name))


def guarded(name: str, step: Callable[[], T], troubles: Troubles, *, vital: bool = False) -> T | None:
    """Runs one step and returns its value; None when it raises, which is noted. To be used in threads of our own."""
    try:
        value = step()
    except BaseException as error:  # noqa: BLE001 -- SystemExit would end the thread as well, without a word
        troubles.note(name, error, vital=vital)
        return None
    troubles.clear(name)
    return value


class Steady:
    """A thread that repeats a step until it is told to stop, whatever the step raises.

    A step waits by itself for something to do, and returns soon once it is woken by who called `stop`. After a
    failure the thread pauses, longer each time. `leave` is called once, in the thread, at its end.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        troubles: Troubles,
        *,
        vital: bool = False,
        leave: Callable[[], object] = lambda: None,
    ) -> None:
        self._name = name
        self._step = step
        self._troubles = troubles
        self._vital = vital
        self._leave = leave
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins to repeat the step. Raises RuntimeError when there can be no further thread."""
        self._thread.start()

    def stop(self) -> None:
        """Begins no further step. Does not wait, and does not wake the step."""
        self._stopped.set()

    def join(self, patience: float | None = None) -> None:
        """Waits for the end of a thread that was told to stop, if it was ever started; `patience` is in seconds."""
        if self._thread.ident is not None:
            self._thread.join(patience)

    @property
    def stopped(self) -> bool:
        """Tells whether the thread was told to stop."""
        return self._stopped.is_set()

    def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._stopped.is_set():
            try:
                self._step()
            except BaseException as error:  # noqa: BLE001 -- as in `guarded`
                self._troubles.note(self._name, error, vital=self._vital)
                self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = SHORTEST_PAUSE
                self._troubles.clear(self._name)
        guarded(self._name, self._leave, self._troubles)

    def _rest(self, seconds: float) -> None:
        try:
            self._stopped.wait(seconds)
        except Exception:  # noqa: BLE001 -- to wait takes memory, of which there may be none
            time.sleep(SHORTEST_PAUSE)


def is_shortage(error: BaseException) -> bool:
    """Tells whether an error says that the machine, or the share of it that the server gets, is used up for now."""
    if isinstance(error, OSError):
        return error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
    return isinstance(error, MemoryError) or str(error) == NO_THREAD


def shortage_behind(error: BaseException) -> BaseException | None:
    """Returns the shortage that an error is, or that led to it: that git could not be started, say; None without."""
    link: BaseException | None = error
    while link is not None:
        if is_shortage(link):
            return link
        link = link.__cause__ if link.__suppress_context__ else link.__cause__ or link.__context__
    return None


def told(error: BaseException) -> str:
    """Returns an error as a sentence without its full stop.

    What code of others says may hold anything, even a password in a command line: of that only the kind is told, and
    the log has the rest.
    """
    if isinstance(error, MemoryError):
        return "Memory is short"
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        sentence = f"{os.strerror(error.errno)}{where}"
    elif isinstance(error, (*_SAYS_ALL, sqlite3.Error)) or str(error) == NO_THREAD:
        sentence = " ".join(str(error).split())
    else:
        sentence = f"Failed with {type(error).__name__}; see the server's log"
    return sentence.rstrip(".")[:LONGEST_MESSAGE]
