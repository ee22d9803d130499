"""`taskgroved` with a clock that a test sets: python -m support.stepping_server FLAG ...

The file that TASKGROVE_TEST_CLOCK names holds the seconds by which the clock is off.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskgrove_server import __main__
from taskgrove_server.domain import clock


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(Path(os.environ["TASKGROVE_TEST_CLOCK"]).read_text()))


if __name__ == "__main__":
    clock.now = _now
    __main__.main()
