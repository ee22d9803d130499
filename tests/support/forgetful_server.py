"""`taskgroved` that kills itself beside the record of a call: python -m support.forgetful_server FLAG ...

The file that TASKGROVE_TEST_DEATH names holds the method of a call and the moment: "Land recording", when it is done
and nothing of that is stored, or "Land answering", when all is stored and nothing is answered. Without the file it
lives.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskgrove_server import __main__
from taskgrove_server.api import interceptors
from taskgrove_server.store import requests

_record: Callable[..., None] = requests.record
_unary: Callable[..., Any] = interceptors.StatusInterceptor._unary  # pyright: ignore[reportPrivateUsage]


def _die_at(method: str, moment: str) -> None:
    try:
        awaited = Path(os.environ["TASKGROVE_TEST_DEATH"]).read_text()
    except FileNotFoundError:
        return
    if awaited == f"{method} {moment}":
        os.kill(os.getpid(), signal.SIGKILL)


def _recording(key: requests.RequestKey | None, *arguments: Any, **options: Any) -> None:
    if key is not None:
        _die_at(key.method, "recording")
    _record(key, *arguments, **options)


def _answering(self: Any, call: Callable[[Any, Any], Any], path: str) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        found = await call(request, context)
        _die_at(path.rpartition("/")[2], "answering")
        return found

    return _unary(self, answer, path)


if __name__ == "__main__":
    requests.record = _recording
    interceptors.StatusInterceptor._unary = _answering  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
    __main__.main()
