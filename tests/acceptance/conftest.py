"""What acceptance tests ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli_shell import Shell
from support.server import RunningServer


@pytest.fixture
def served(server: RunningServer, repository: Path) -> Shell:
    """A shell in a repository, where the default server runs."""
    return Shell(server, repository)
