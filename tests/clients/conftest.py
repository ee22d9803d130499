"""What the scenarios of all clients ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.client_programs import PROGRAMS, Program
from support.server import RunningServer


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Program:
    """The programs of each client in turn."""
    return PROGRAMS[request.param]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of the test's own, on TCP; with one slot, so that a second task waits."""
    with RunningServer("--slots", "1", "--retry-pause", "0.1", tcp=True) as running:
        yield running
