"""What a server keeps stays within what its retention says, for as long as it lives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from support.simulated_month import EVENT_RETENTION, Month
from taskgrove_server.runner.retention import Spans

#: `make bench BENCH_ARGS=retaining` does so with 2,000 a day.
TASKS_A_DAY = 10

TASKS, LOGS = 7, 3
DAYS = 30

#: What a task leaves in the feed: queued, started, its run's beginning and end, finished, and deleted.
EVENTS = 6


def test_a_month_stays_within_what_is_retained(tmp_path: Path) -> None:
    spans = Spans(tasks=timedelta(days=TASKS), logs=timedelta(days=LOGS))
    with Month(tmp_path, TASKS_A_DAY, spans) as month:
        for _ in range(DAYS):
            month.live_a_day()
            counts = month.counts()
            kept = min(month.days, TASKS) * TASKS_A_DAY
            assert (counts["task"], counts["run"], counts["sandbox"]) == (kept, kept, kept)
            assert counts["log"] == min(month.days, LOGS) * TASKS_A_DAY
            assert counts["event"] <= EVENTS * (EVENT_RETENTION.days + 1) * TASKS_A_DAY
            assert counts["request"] <= (EVENT_RETENTION.days + 1) * TASKS_A_DAY
            assert not month.troubles.current()
        # What the last round was told of too late, the next one forgets.
        month.keep_house()
        assert month.counts()["obsolete_file"] == 0


def test_a_database_from_which_much_was_deleted_becomes_small_again(tmp_path: Path) -> None:
    with Month(tmp_path, 100, Spans(tasks=timedelta(days=1))) as month:
        # As large as with many tasks.
        month.fill(32 << 20)
        large = month.database_size()
        assert large > 32 << 20
        for _ in range(3):
            month.live_a_day()
        assert month.database_size() < large / 2
