"""Listings that are kept for their pages: one computation, a bounded number of files, for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskgrove_server.domain.ids import TaskId
from taskgrove_server.runner.listings import Key, Listings
from taskgrove_server.worktrees.changes import ChangedFile, ChangeKind

PATIENCE = 30


def key(name: str) -> Key:
    return Key(TaskId(name), "1" * 40, "2" * 40)


def files(count: int) -> list[ChangedFile]:
    kind = ChangeKind.MODIFIED
    return [ChangedFile(f"file{number}", None, kind, "100644", "100644", 2, 1) for number in range(count)]


class Making:
    """Makes listings, and counts how often."""

    def __init__(self, count: int = 3) -> None:
        self.times = 0
        self._count = count

    def __call__(self) -> Sequence[ChangedFile]:
        self.times += 1
        return files(self._count)


def test_a_listing_is_made_once_and_has_totals() -> None:
    listings, make = Listings(), Making()
    first = listings.get(key("one"), make)
    assert (len(first.files), first.insertions, first.deletions) == (3, 6, 3)
    assert listings.get(key("one"), make) is first
    assert make.times == 1
    assert listings.get(Key(TaskId("one"), "1" * 40, "3" * 40), make) is not first
    assert listings.get(key("other"), make) is not first
    assert make.times == 3


def test_the_oldest_go_when_there_are_too_many_files() -> None:
    listings, make = Listings(most_files=10), Making(4)
    for name in ("one", "two", "three"):
        listings.get(key(name), make)
    assert listings.files == 8
    listings.get(key("three"), make)
    listings.get(key("two"), make)
    assert make.times == 3
    listings.get(key("one"), make)
    assert make.times == 4
    assert listings.files == 8


def test_one_that_is_larger_than_all_may_be_stays_until_another_comes() -> None:
    listings, make = Listings(most_files=10), Making(100)
    listings.get(key("large"), make)
    listings.get(key("large"), make)
    assert make.times == 1
    listings.get(key("small"), Making(1))
    assert listings.files == 1


def test_a_listing_is_dropped_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    listings, make = Listings(kept_for=60), Making()
    listings.get(key("one"), make)
    now += 59
    listings.get(key("one"), make)
    assert make.times == 1
    now += 2
    listings.get(key("one"), make)
    assert make.times == 2
    now += 61
    listings.drop()
    assert listings.files == 0


def at_the_same_time(listings: Listings, make: Callable[[], Sequence[ChangedFile]], count: int) -> list[object]:
    """Returns what several who ask at the same time get, or their errors."""
    together = threading.Barrier(count)

    def ask() -> object:
        together.wait(PATIENCE)
        try:
            return listings.get(key("one"), make)
        except OSError as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        return [asking.result(PATIENCE) for asking in [threads.submit(ask) for _ in range(count)]]


def test_of_several_who_ask_at_the_same_time_one_computes() -> None:
    listings, make = Listings(), Making()
    first, *others = at_the_same_time(listings, make, 8)
    assert make.times == 1
    assert all(other is first for other in others)


def test_a_failure_is_told_to_one_and_the_next_tries() -> None:
    listings, made = Listings(), Making()
    failures = iter([OSError("interrupted")])

    def make() -> Sequence[ChangedFile]:
        for failure in failures:
            raise failure
        return made()

    answers = at_the_same_time(listings, make, 4)
    assert sum(isinstance(answer, OSError) for answer in answers) == 1
    assert made.times == 1


def test_another_listing_is_not_kept_waiting() -> None:
    listings, other = Listings(), Making()
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> Sequence[ChangedFile]:
        begun.set()
        assert may_end.wait(PATIENCE)
        return files(1)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(listings.get, key("slow"), slow)
        assert begun.wait(PATIENCE)
        assert len(listings.get(key("other"), other).files) == 3
        may_end.set()
        assert len(waiting.result(PATIENCE).files) == 1
