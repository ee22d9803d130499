"""What unit tests ask for."""

from __future__ import annotations

import pytest

import taskgrove
from support.cli_stand_in import StandIn


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A stand-in for the client, which the commands use."""
    made = StandIn()

    def client(target: str | None, *, token: str | None, tls: taskgrove.Tls | None, timeout: float) -> StandIn:
        assert target == "localhost:1"
        assert tls is None
        assert timeout > 0
        return made

    monkeypatch.setattr(taskgrove, "Client", client)
    return made
