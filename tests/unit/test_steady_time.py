"""The clock is not relied on for a while after it has jumped ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from taskgrove_server.domain import clock
from taskgrove_server.runner import steady_time
from taskgrove_server.runner.steady_time import SteadyTime

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class World:
    """The time of day, and how much time has passed: the one can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = NOON
        self.passed = 1000.0
        monkeypatch.setattr(clock, "now", lambda: self.time)

    def pass_by(self, span: timedelta, *, shown: timedelta | None = None) -> None:
        """Lets time pass, of which the clock shows more or less."""
        self.time += span if shown is None else shown
        self.passed += span.total_seconds()

    def steady(self, newest_change: datetime | None = NOON) -> SteadyTime:
        return SteadyTime(lambda: newest_change, lambda: self.passed)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_time_that_passes_is_relied_on(world: World) -> None:
    steady = world.steady()
    for span in (timedelta(0), timedelta(minutes=1), timedelta(days=3), timedelta(minutes=1)):
        # Also while the machine sleeps: whoever looks after days has not jumped.
        world.pass_by(span)
        assert steady.now() == world.time


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=4000)])
def test_a_jump_ahead_is_mistrusted_for_a_while(world: World, ahead: timedelta) -> None:
    steady = world.steady()
    assert steady.now() == NOON
    world.pass_by(timedelta(minutes=1), shown=ahead + timedelta(minutes=1))
    assert steady.now() is None
    world.pass_by(HOUR / 2)
    assert steady.now() is None
    world.pass_by(HOUR / 2)
    assert steady.now() == world.time


@pytest.mark.parametrize("behind", [timedelta(seconds=-50), timedelta(hours=-5), timedelta(seconds=50)])
def test_a_step_back_or_a_small_one_is_relied_on(world: World, behind: timedelta) -> None:
    steady = world.steady()
    assert steady.now()
    world.pass_by(timedelta(minutes=1), shown=behind)
    assert steady.now() == world.time


def test_a_server_that_starts_long_after_anything_has_happened_waits_before_it_believes_that(world: World) -> None:
    for newest, believed in ((None, True), (NOON - 23 * HOUR, True), (NOON - 25 * HOUR, False), (NOON + HOUR, True)):
        assert (world.steady(newest).now() is not None) == believed
    steady = world.steady(NOON - timedelta(days=30))
    assert steady.now() is None
    world.pass_by(timedelta(seconds=steady_time.SETTLING))
    assert steady.now() == world.time
