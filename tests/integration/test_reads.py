"""Reads of the store, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from taskgrove_server.api import front
from taskgrove_server.api.front import Reads
from taskgrove_server.domain.failures import FailureKind
from taskgrove_server.domain.listing import Order, TaskFilter
from taskgrove_server.domain.task import TaskState
from taskgrove_server.store import listing
from taskgrove_server.store.store import Store

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    store = Store(tmp_path / "taskgrove.db", lambda _: None)
    made = Reads(store)
    yield made
    made.close()
    store.close()


@pytest.mark.asyncio
async def test_reads_that_look_through_everything_hold_up_no_others(reads: Reads) -> None:
    looked_through = threading.Event()
    scanning = [asyncio.create_task(reads.scan(looked_through.wait)) for _ in range(front.SCANNERS + front.READERS)]
    async with asyncio.timeout(20):
        assert await asyncio.gather(*[reads(str, number) for number in range(20)]) == [str(n) for n in range(20)]
        assert not any(scan.done() for scan in scanning)
        looked_through.set()
        await asyncio.gather(*scanning)


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(title_contains="x"),
        TaskFilter(created_after=LONG_AGO),
        TaskFilter(created_before=LONG_AGO),
        TaskFilter(finished_before=LONG_AGO),
        TaskFilter(failure_kinds=frozenset({FailureKind.TIMEOUT})),
    ],
)
def test_what_no_index_has_is_looked_for_apart(wanted: TaskFilter) -> None:
    assert all(listing.scans(wanted, order) for order in Order)


def test_what_an_index_has_is_not() -> None:
    queued = TaskFilter(states=frozenset({TaskState.QUEUED}))
    assert not any(listing.scans(TaskFilter(), order) for order in Order)
    assert not listing.scans(queued, Order.NEWEST_FIRST)
    assert listing.scans(queued, Order.LAST_CHANGED_FIRST)
