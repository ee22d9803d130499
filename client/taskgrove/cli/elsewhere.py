"""Has a thread talk to the server, so that the main one, in which signals are handled, only waits.

What a signal's handler raises inside of gRPC's own code, or in a finalizer that happens to run there, is printed and
lost: a second Ctrl-C would be without effect. Out of a wait for a queue it always gets.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

T = TypeVar("T")


def called(function: Callable[[], T]) -> T:
    """Returns what the function returns, or raises what it raises; one who is interrupted does not wait for it."""
    answers: queue.SimpleQueue[_Answer[T]] = queue.SimpleQueue()

    def call() -> None:
        answer = _Answer[T]()
        try:
            answer.value = function()
        except BaseException as error:  # noqa: BLE001 - raised where the answer is waited for
            answer.error = error
        answers.put(answer)

    threading.Thread(target=call, name="call", daemon=True).start()
    answer = answers.get()
    if answer.error is not None:
        raise answer.error
    return cast(T, answer.value)


@dataclass(slots=True)
class _Answer(Generic[T]):
    value: T | None = None
    error: BaseException | None = None
