"""What tests of every kind ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import taskgrove
from support import repositories
from support.server import RunningServer


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of the test's own."""
    with RunningServer("--slots", "4", "--retry-pause", "0.1") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[taskgrove.Client]:
    """A client of the test's own server."""
    with server.client() as connected:
        yield connected


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with one commit."""
    return repositories.make_repository(tmp_path / "repository", files={"README.md": "hello\n"})
