"""Asks agents for their versions, and remembers the answers while their programs stay the same."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
from pathlib import Path

from taskgrove_server.agents.agent import Installation

log = logging.getLogger(__name__)

#: Seconds that a program has to tell its version.
_PATIENCE = 20.0

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")


class Versions:
    """Versions by program. May be asked from many threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}
        self._lock = threading.Lock()

    def of(self, installation: Installation) -> str:
        """Returns the version that a program tells, empty when it tells none."""
        if not installation.version_argv:
            return ""
        try:
            state = Path(installation.version_argv[0]).stat()
        except OSError:
            return ""
        key = (installation.version_argv[0], state.st_mtime_ns, state.st_size)
        # One at a time: starting some agents takes half a second of a processor.
        with self._lock:
            if key not in self._known:
                self._known[key] = _ask(installation)
            return self._known[key]


def _ask(installation: Installation) -> str:
    try:
        ended = subprocess.run(
            installation.version_argv,
            env=dict(installation.environment),
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s does not tell its version: %s", installation.version_argv[0], error)
        return ""
    found = _VERSION.search(ended.stdout.decode(errors="replace"))
    return found[0] if found else ""
