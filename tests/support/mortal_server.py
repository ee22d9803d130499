"""`taskgroved` that kills itself at a step that a test names: python -m support.mortal_server FLAG ...

The file that TASKGROVE_TEST_DEATH names holds the step: an audit event of Python's and words that its arguments have,
such as "os.rename worktrees/x". Without the file it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from taskgrove_server import __main__

_STEPS = ("os.rename", "os.remove", "os.rmdir", "subprocess.Popen")


def _die_in_time(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _STEPS:
        return
    try:
        awaited, *words = Path(os.environ["TASKGROVE_TEST_DEATH"]).read_text().split()
    except FileNotFoundError:
        return
    if event == awaited and all(word in repr(arguments) for word in words):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.addaudithook(_die_in_time)
    __main__.main()
