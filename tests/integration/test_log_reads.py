"""Logs that are read off the event loop: who shares a search, who leaves one, and who does not wait for any."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from support import descriptors
from support.run_logs import CountedReads, run_over
from taskgrove_server.api.log_reads import LogReads
from taskgrove_server.domain import errors
from taskgrove_server.domain.run import Run
from taskgrove_server.journal import line_index, seeking
from taskgrove_server.journal.growing import Extent
from taskgrove_server.journal.journal import Journal
from taskgrove_server.journal.line_index import SPACING
from taskgrove_server.journal.reading import LogReader
from taskgrove_server.journal.seeking import Scan
from taskgrove_server.journal.wakeups import Wakeups

pytestmark = pytest.mark.asyncio

LINES = 400_000
EXTENT = Extent(LINES, LINES * 100)

#: Seconds within which everything that a test waits for has to happen.
PATIENCE = 30.0

#: Bytes of a step of a search in tests that count them.
STEP = 1 << 20

ALL_STEPS = -(-EXTENT.size // STEP)

#: Bytes that are read to find a line with an index.
ONE_SEEK = SPACING + seeking.SCANNED + seeking.BLOCK


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a log of 40 MB that no server has followed."""
    path = tmp_path / "logs/log"
    path.parent.mkdir()
    path.write_bytes(b"".join(b"%099d\n" % n for n in range(LINES)))
    return run_over(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> CountedReads:
    """Counts the bytes that are read by position."""
    counted = CountedReads(os.pread)
    monkeypatch.setattr(os, "pread", counted)
    return counted


class Steps:
    """The steps of searches, which are small here. The third one does not begin before it may."""

    def __init__(self) -> None:
        self.count = 0
        self.third = asyncio.Event()
        self.may_go_on = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._step = Scan.step

    def take(self, scan: Scan) -> None:
        self.count += 1
        if self.count == 3:
            self._loop.call_soon_threadsafe(self.third.set)
            assert self.may_go_on.wait(PATIENCE)
        self._step(scan)


@pytest_asyncio.fixture
async def steps(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Steps]:
    counted = Steps()

    def step(scan: Scan) -> None:
        counted.take(scan)

    monkeypatch.setattr(Scan, "step", step)
    monkeypatch.setattr(seeking, "STEP", STEP)
    yield counted
    counted.may_go_on.set()


@pytest_asyncio.fixture
async def logs() -> AsyncIterator[LogReads]:
    journal = Journal(Wakeups())
    opened = LogReads(journal)
    yield opened
    opened.close()
    journal.close()


async def seek(logs: LogReads, run: Run, after_line: int, extent: Extent = EXTENT) -> None:
    """Finds a line, and sees whether it is the right one."""
    reader = LogReader(run)
    await logs.seek(reader, after_line, extent)
    assert (reader.line, reader.position) == (after_line, after_line * 100)
    reader.close()


async def test_all_who_look_for_lines_of_a_log_share_one_search(logs: LogReads, run: Run, reads: CountedReads) -> None:
    await asyncio.gather(*(seek(logs, run, LINES - 10 - number) for number in range(100)))
    assert reads.size <= EXTENT.size + 100 * ONE_SEEK
    assert line_index.path_of(run.log_path).exists()
    reads.size = 0
    await asyncio.gather(*(seek(logs, run, LINES - 10 - number) for number in range(100)))
    assert reads.size <= 100 * ONE_SEEK


async def test_the_next_server_finds_the_index(logs: LogReads, run: Run, reads: CountedReads) -> None:
    await seek(logs, run, LINES - 1)
    journal = Journal(Wakeups())
    later = LogReads(journal)
    reads.size = 0
    await seek(later, run, LINES - 2)
    assert reads.size <= ONE_SEEK
    later.close()
    journal.close()


async def test_an_index_that_cannot_be_written_is_kept(logs: LogReads, run: Run, reads: CountedReads) -> None:
    # Root may write wherever it wants, but not over a directory.
    line_index.path_of(run.log_path).mkdir()
    await seek(logs, run, LINES - 1)
    reads.size = 0
    await seek(logs, run, LINES - 2)
    assert reads.size <= ONE_SEEK


async def test_who_is_at_the_end_needs_nothing_of_the_log(logs: LogReads, run: Run, reads: CountedReads) -> None:
    await seek(logs, run, LINES)
    assert reads.size == 0
    assert not line_index.path_of(run.log_path).exists()


async def test_who_looks_for_an_early_line_does_not_wait_for_the_whole_log(
    logs: LogReads, run: Run, steps: Steps
) -> None:
    late = asyncio.create_task(seek(logs, run, LINES - 1))
    await seek(logs, run, 3)
    await steps.third.wait()
    await seek(logs, run, 4)
    assert not late.done()
    steps.may_go_on.set()
    await late
    assert steps.count == ALL_STEPS


async def test_who_leaves_a_search_takes_nothing_from_the_others(logs: LogReads, run: Run, steps: Steps) -> None:
    waiting = [asyncio.create_task(seek(logs, run, LINES - 1)) for _ in range(3)]
    await steps.third.wait()
    for task in waiting[:2]:
        task.cancel()
    await asyncio.wait(waiting[:2])
    steps.may_go_on.set()
    await waiting[2]
    assert steps.count == ALL_STEPS


async def test_a_search_ends_with_the_last_who_waits_for_it(logs: LogReads, run: Run, steps: Steps) -> None:
    waiting = [asyncio.create_task(seek(logs, run, LINES - 1)) for _ in range(3)]
    await steps.third.wait()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    steps.may_go_on.set()
    # What is being read is read to its end.
    for _ in range(10):
        await asyncio.gather(logs(lambda: None), logs(lambda: None))
    assert steps.count == 3
    assert not line_index.path_of(run.log_path).exists()


async def test_who_comes_while_a_search_ends_begins_anew(logs: LogReads, run: Run, steps: Steps) -> None:
    leaving = asyncio.create_task(seek(logs, run, LINES - 1))
    await steps.third.wait()
    leaving.cancel()
    late = asyncio.create_task(seek(logs, run, LINES - 1))
    await asyncio.wait([leaving])
    steps.may_go_on.set()
    await late
    assert steps.count == 3 + ALL_STEPS


async def test_a_search_that_is_over_leaves_nothing(logs: LogReads, run: Run) -> None:
    before = descriptors.own()
    await asyncio.gather(*(seek(logs, run, LINES - 1 - number) for number in range(20)))
    leaving = [asyncio.create_task(seek(logs, run, LINES - 1 - number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    await asyncio.gather(logs(lambda: None), logs(lambda: None))
    assert descriptors.own() == before


async def test_a_log_that_became_shorter_meanwhile_is_told_of(logs: LogReads, run: Run) -> None:
    os.truncate(run.log_path, EXTENT.size // 2)
    for _ in range(2):
        lost = await asyncio.gather(*(seek(logs, run, LINES - 1 - n) for n in range(3)), return_exceptions=True)
        assert [type(error) for error in lost] == [errors.LogLost] * 3
        # What is still there is found.
        await seek(logs, run, LINES // 3)
    assert not line_index.path_of(run.log_path).exists()


async def test_a_log_that_was_truncated_while_it_grew_is_told_of(logs: LogReads, run: Run) -> None:
    with pytest.raises(errors.LogLost):
        await seek(logs, run, LINES - 1, replace(EXTENT, lost=True))
    await seek(logs, run, LINES, replace(EXTENT, lost=True))
