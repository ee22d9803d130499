"""How long a line takes from the child's write to the client's receipt, at 1,000 lines a second; to a crowd, at 200."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import sampling, serving
from benchmarks.measuring import LiveServers, Measure, Sample
from benchmarks.receiving import ReceiverFailed
from benchmarks.report import Report, Target

OURS = "taskgroved"
BARE = "bare grpc.aio"
SSE = "SSE, a line an event"

COLUMNS = ("watchers", "lines/s", "through", "p50 ms", "p99 ms", "p50 of bare", "server us each", "client us each")

NOTES = (
    "Each line carries the clock of its write, which all processes share; a delivery is a line at one watcher.",
    "The emitter paces its lines evenly and writes each at once.",
    "taskgroved follows the log, into which a supervisor moves the lines; the peers read a pipe.",
    "A server that cannot keep up shows in latencies that are as long as the run.",
)

#: Lines a second, and how many go to a crowd, of whose watchers a server can hardly reach each for each line.
RATE = 1000.0
CROWD_RATE = 200.0

#: Milliseconds of the longest median of a crowd.
CROWD_P50 = 40


@dataclass(frozen=True, slots=True)
class Load:
    """Some watchers, and how many lines each receives."""

    watchers: int
    lines: int
    rate: float = RATE


CROWD = Load(500, 1000, CROWD_RATE)
FULL = (Load(1, 3000), Load(10, 3000), Load(100, 2000), CROWD, Load(1000, 1000))
QUICK = (Load(1, 300), Load(20, 300))


def run(*, quick: bool) -> Report:
    """Measures all servers one after the other, and that several times."""
    report = Report("latency", "Latency from the child's write to the client's receipt", COLUMNS, notes=list(NOTES))
    loads = QUICK if quick else FULL
    samples: dict[tuple[Load, str], list[Sample]] = {}
    with serving.taskgroved() as ours:
        live = LiveServers(ours)
        variants: Mapping[str, Measure] = {OURS: live.ours, BARE: live.bare, SSE: live.sse}
        for _, load in itertools.product(range(1 if quick else 3), loads):
            for variant, measure in variants.items():
                kept = samples.setdefault((load, variant), [])
                try:
                    kept.append(measure(load.lines, load.watchers, rate=load.rate, latencies=True))
                except ReceiverFailed as failure:
                    report.failures.append(f"{load.watchers} watchers, {variant}: {failure}")
    for load in loads:
        _add_rows(report, load, {variant: samples[load, variant] for variant in variants})
    return report


def _add_rows(report: Report, load: Load, samples: Mapping[str, list[Sample]]) -> None:
    for variant, runs in samples.items():
        report.samples[f"{load.watchers} watchers, {variant}: p50 ms"] = [run.received.p50 for run in runs]
        report.samples[f"{load.watchers} watchers, {variant}: p99 ms"] = [run.received.p99 for run in runs]
    p50 = {variant: sampling.median([run.received.p50 for run in runs]) for variant, runs in samples.items() if runs}
    for variant, middle in p50.items():
        runs = samples[variant]
        report.rows.append(
            (
                str(load.watchers),
                load.rate,
                variant,
                middle,
                sampling.median([run.received.p99 for run in runs]),
                middle / p50[BARE] if BARE in p50 else None,
                sampling.median([run.server_microseconds for run in runs]),
                sampling.median([run.client_microseconds for run in runs]),
            )
        )
    if load == CROWD and OURS in p50:
        report.targets.append(
            Target(f"p50 ms at {load.watchers} watchers, {load.rate:g} lines/s", p50[OURS], CROWD_P50)
        )
    if load.watchers == 1 and OURS in p50 and BARE in p50:
        report.targets.append(Target("p50 at 1 watcher, of the bare stream's", p50[OURS] / p50[BARE], 1.5))
