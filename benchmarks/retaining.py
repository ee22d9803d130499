"""What stays of a month of 2,000 tasks a day, where tasks are kept for 7 days and their logs for 3.

Only the agents are simulated; see tests/support/simulated_month.py.
"""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Report, Target
from support.simulated_month import Month
from taskgrove_server.runner.retention import Spans

TASKS, LOGS = 7, 3
DAYS = 30

#: The database may have a quarter of free pages, or 8 MiB of them if that is more, and a journal of 16 MiB.
FREE = 4 / 3
SPARE = 24 << 20

COLUMNS = ("day", "tasks", "logs", "events", "database MiB", "a task's removal ms (cpu)")


def run(*, quick: bool) -> Report:
    """Lives a month."""
    report = Report("retaining", f"A month of tasks that are kept for {TASKS} days, and their logs for {LOGS}", COLUMNS)
    a_day = 20 if quick else 2000
    spans = Spans(tasks=timedelta(days=TASKS), logs=timedelta(days=LOGS))
    with tempfile.TemporaryDirectory() as root, Month(Path(root), a_day, spans) as month:
        full = largest = 0
        counts = month.counts()
        for _ in range(DAYS):
            month.add_a_day()
            begun = time.process_time()
            month.keep_house()
            # Until all are deleted that are due: a round is as long as it may be.
            while month.counts()["task"] > min(month.days, TASKS) * a_day:
                month.keep_house()
            spent = time.process_time() - begun
            size = month.database_size()
            if month.days == TASKS:
                full = size
            largest = max(largest, size)
            counts = month.counts()
            removal = 1000 * spent / a_day if month.days > TASKS else None
            report.rows.append((month.days, counts["task"], counts["log"], counts["event"], size / (1 << 20), removal))
            report.failures += [f"{trouble.name}: {trouble.message}" for trouble in month.troubles.current()]
    report.targets += [
        Target("tasks kept in the end, of what a week has", counts["task"] / (TASKS * a_day), 1.0),
        Target("logs kept in the end, of what three days have", counts["log"] / (LOGS * a_day), 1.0),
        Target("MiB of the database at most", largest / (1 << 20), (FREE * full + SPARE) / (1 << 20)),
    ]
    return report
