"""When the watchers of a task are woken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.journal.wakeups import CROWD, LONGEST_REST, Wakeups

TASK = TaskId("task")

#: Seconds that a watcher of these tests takes for what it is woken for.
WORK = LONGEST_REST / 1000


class ClockedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes on only when a test says so."""

    now = 0.0

    def time(self) -> float:
        """Returns what the test says."""
        return self.now


class Crowd:
    """Watchers that take down of each wake-up whether the task had changed."""

    def __init__(self, wakeups: Wakeups, loop: ClockedLoop, count: int, work: float) -> None:
        self.told: list[list[bool]] = [[] for _ in range(count)]
        self._wakeups = wakeups
        self._loop = loop
        self._work = work
        self._tasks = [loop.create_task(self._watch(told)) for told in self.told]

    async def _watch(self, told: list[bool]) -> None:
        with self._wakeups.subscribe(TASK) as subscription:
            while True:
                subscription.task_changed = False
                await subscription.wait(1e9)
                told.append(subscription.task_changed)
                self._loop.now += self._work

    async def leave(self) -> None:
        """Ends all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def settle() -> None:
    """Lets the loop do all that it can do without its clock going on."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(count: int, scenario: Callable[[Wakeups, ClockedLoop, Crowd], Awaitable[None]], work: float = WORK) -> None:
    loop = ClockedLoop()

    async def main() -> None:
        wakeups = Wakeups()
        wakeups.attach(loop)
        crowd = Crowd(wakeups, loop, count, work)
        await settle()
        await scenario(wakeups, loop, crowd)
        await crowd.leave()

    with contextlib.closing(loop):
        loop.run_until_complete(main())


def test_few_watchers_are_woken_at_each_line() -> None:
    async def scenario(wakeups: Wakeups, _loop: ClockedLoop, crowd: Crowd) -> None:
        for _ in range(5):
            wakeups.lines(TASK)
            await settle()
        assert crowd.told == [[False] * 5] * CROWD

    run(CROWD, scenario)


def test_a_crowd_rests_as_long_as_it_took_to_tell_it_and_hears_once_of_all_lines_since() -> None:
    count = CROWD + 100

    async def scenario(wakeups: Wakeups, loop: ClockedLoop, crowd: Crowd) -> None:
        wakeups.lines(TASK)
        await settle()
        assert crowd.told == [[False]] * count
        took = count * WORK
        assert loop.now == pytest.approx(took)
        for _ in range(5):
            wakeups.lines(TASK)
            await settle()
        loop.now += 0.9 * took
        await settle()
        assert crowd.told == [[False]] * count
        loop.now += 0.2 * took
        await settle()
        assert crowd.told == [[False] * 2] * count

    run(count, scenario)


def test_a_crowd_that_has_rested_is_woken_at_once() -> None:
    count = CROWD + 1

    async def scenario(wakeups: Wakeups, loop: ClockedLoop, crowd: Crowd) -> None:
        for turn in range(1, 4):
            wakeups.lines(TASK)
            await settle()
            assert crowd.told == [[False] * turn] * count
            loop.now += LONGEST_REST

    run(count, scenario)


def test_a_change_of_the_task_is_told_to_a_crowd_that_rests() -> None:
    count = CROWD + 1

    async def scenario(wakeups: Wakeups, _loop: ClockedLoop, crowd: Crowd) -> None:
        wakeups.lines(TASK)
        await settle()
        wakeups.lines(TASK)
        wakeups.tasks([TASK])
        await settle()
        assert crowd.told == [[False, True]] * count

    run(count, scenario)


def test_a_drain_is_told_to_a_crowd_that_rests() -> None:
    count = CROWD + 1

    async def scenario(wakeups: Wakeups, _loop: ClockedLoop, crowd: Crowd) -> None:
        wakeups.lines(TASK)
        await settle()
        wakeups.drain()
        await settle()
        assert [len(told) for told in crowd.told] == [2] * count

    run(count, scenario)


def test_however_long_it_took_to_tell_a_crowd_it_rests_for_a_moment_only() -> None:
    count = CROWD + 1

    async def scenario(wakeups: Wakeups, loop: ClockedLoop, crowd: Crowd) -> None:
        wakeups.lines(TASK)
        await settle()
        wakeups.lines(TASK)
        await settle()
        assert crowd.told == [[False]] * count
        loop.now += LONGEST_REST
        await settle()
        assert crowd.told == [[False] * 2] * count

    run(count, scenario, work=1.0)


def test_a_watcher_hears_of_silence_when_it_has_lasted_since_the_last_wait_began() -> None:
    loop = ClockedLoop()
    heard: list[bool] = []

    async def watch(wakeups: Wakeups) -> None:
        with wakeups.subscribe(TASK) as subscription:
            while True:
                heard.append(await subscription.wait(10))

    async def main() -> None:
        wakeups = Wakeups()
        wakeups.attach(loop)
        watcher = loop.create_task(watch(wakeups))
        await settle()
        for silence, expected in ((9, []), (1, [False]), (9, [False])):
            loop.now += silence
            await settle()
            assert heard == expected
        wakeups.lines(TASK)
        await settle()
        assert heard == [False, True]
        # The timer of the wait before ends, and another is set for what is left.
        loop.now += 9
        await settle()
        assert heard == [False, True]
        loop.now += 1
        await settle()
        assert heard == [False, True, False]
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)

    with contextlib.closing(loop):
        loop.run_until_complete(main())


def test_a_wait_that_is_shorter_than_the_one_before_ends_in_time() -> None:
    loop = ClockedLoop()

    async def main() -> None:
        wakeups = Wakeups()
        wakeups.attach(loop)
        with wakeups.subscribe(TASK) as subscription:
            waiting = loop.create_task(subscription.wait(100))
            await settle()
            wakeups.lines(TASK)
            await settle()
            assert waiting.result()
            waiting = loop.create_task(subscription.wait(1))
            await settle()
            assert not waiting.done()
            loop.now += 1
            await settle()
            assert not waiting.result()

    with contextlib.closing(loop):
        loop.run_until_complete(main())
