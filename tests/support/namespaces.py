"""Users of their own, for whom the kernel's shares can be made small without touching anybody else's."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

#: Sets a share and becomes the command that follows. In a namespace of a user, `/proc/sys/user` is that user's alone.
_LIMITED = 'echo {value} > /proc/sys/user/{name} && exec "$@"'


def limited(name: str, value: int) -> tuple[str, ...]:
    """Returns what starts a command with a share such as `max_inotify_watches`; skips the test where that cannot be."""
    command = ("unshare", "--user", "--map-root-user", "sh", "-c", _LIMITED.format(name=name, value=value), "sh")
    _run([*command, "true"])
    return command


def set_limit(pid: int, name: str, value: int) -> None:
    """Changes a share of a process that was started so."""
    script = f"echo {value} > /proc/sys/user/{name}"
    _run(["nsenter", "--user", "--preserve-credentials", f"--target={pid}", "sh", "-c", script])


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"a user with shares of its own takes a program: {error}")
    if done.returncode:
        pytest.skip(f"the kernel lets nobody have a user with shares of its own: {done.stderr.strip()}")
