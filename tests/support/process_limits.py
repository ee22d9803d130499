"""Machines on which a server can start no more processes and threads, or open no more files: the system's limits."""

from __future__ import annotations

import contextlib
import resource
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from support import descriptors

_GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def without_processes(pid: int) -> Generator[None]:
    """Lets a process, and those that it starts from now on, start nothing; skips the test where that is not allowed."""
    # Version 1 has a tree for each limit, version 2 one for all.
    parent = _GROUPS / "pids" if (_GROUPS / "pids").is_dir() else _GROUPS
    group = parent / f"taskgrove-{uuid.uuid4().hex}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
        most = group / "pids.max"
        most.write_text((group / "pids.current").read_text())
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"limiting processes takes a control group: {error}")
    try:
        yield
    finally:
        most.write_text("max")
        for member in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (parent / "cgroup.procs").write_text(member)
        # What has been started meanwhile may still run; the group goes with the last of it.
        with contextlib.suppress(OSError):
            group.rmdir()


@contextlib.contextmanager
def without_descriptors(pid: int, spare: int = 2) -> Generator[None]:
    """Lets a process open hardly anything more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(descriptors.of(pid)) + spare, before[1]))
    try:
        yield
    finally:
        # Unless it was killed.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
