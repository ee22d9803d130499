"""How many lines a second come from a child's log to clients, and what each costs the server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks import sampling, serving
from benchmarks.measuring import LiveServers, Sample, measure
from benchmarks.receiving import ReceiverFailed
from benchmarks.report import Report, Target
from benchmarks.serving import Server

OURS = "taskgroved"
BARE = "bare grpc.aio"
SSE_LINE = "SSE, a line an event"
SSE_CHUNK = "SSE, 64 KiB at once"
OURS_LIVE = "taskgroved, live"
BARE_LIVE = "bare grpc.aio, live"

COLUMNS = ("watchers", "from", "lines each", "deliveries/s", "of bare", "server us each", "client us each")

NOTES = (
    "Each watcher has a connection of its own. Lines have 300 bytes.",
    "Rates are the client's, from first to last receipt; the server's time goes from the requests to the last receipt.",
    "The peers have the whole log in memory, cut and encoded, before they are asked; taskgroved reads its log.",
    "Live: the child writes as fast as it can while it is watched. The bare server reads its pipe and parses nothing.",
    "uvicorn runs on what it needs at least: asyncio and h11.",
)


@dataclass(frozen=True, slots=True)
class Load:
    """Some watchers, and how many lines each receives."""

    watchers: int
    lines: int
    live_lines: int

    @property
    def few_lines(self) -> int:
        """Returns the lines of a run in which each takes so much longer that there are fewer of them."""
        return self.lines // 10


FULL = (Load(1, 400_000, 40_000), Load(10, 100_000, 20_000), Load(100, 20_000, 5_000), Load(1000, 4_000, 1_000))
QUICK = (Load(1, 5_000, 1_000), Load(100, 500, 300))


def run(*, quick: bool) -> Report:
    """Measures all variants one after the other, and that several times."""
    report = Report("streaming", "Lines from a log to clients", COLUMNS, notes=list(NOTES))
    loads = QUICK if quick else FULL
    samples: dict[tuple[Load, str], list[Sample]] = {}
    with serving.taskgroved() as ours:
        sizes = sorted({lines for load in loads for lines in (load.lines, load.few_lines)})
        logs = {lines: ours.log(lines) for lines in sizes}
        with serving.bare_stream(dict(logs.values())) as bare, serving.sse(dict(logs.values())) as sse:

            def replay(server: Server, lines: int, watchers: int) -> Callable[[], Sample]:
                return lambda: measure(server, server.plan(logs[lines][0], lines, watchers))

            live = LiveServers(ours)
            for _, load in itertools.product(range(1 if quick else 5), loads):
                runs: Mapping[str, Callable[[], Sample]] = {
                    OURS: replay(ours, load.lines, load.watchers),
                    BARE: replay(bare, load.lines, load.watchers),
                    SSE_LINE: replay(sse, load.few_lines, load.watchers),
                    SSE_CHUNK: replay(sse.at("/chunk"), load.lines, load.watchers),
                    OURS_LIVE: partial(live.ours, load.live_lines, load.watchers),
                    BARE_LIVE: partial(live.bare, load.live_lines, load.watchers),
                }
                for variant, measured in runs.items():
                    kept = samples.setdefault((load, variant), [])
                    try:
                        kept.append(measured())
                    except ReceiverFailed as failure:
                        report.failures.append(f"{load.watchers} watchers, {variant}: {failure}")
    for load in loads:
        _add_rows(report, load, {variant: runs for (of, variant), runs in samples.items() if of == load})
    return report


def _add_rows(report: Report, load: Load, samples: Mapping[str, list[Sample]]) -> None:
    rates: dict[str, float] = {}
    for variant, runs in samples.items():
        report.samples[f"{load.watchers} watchers, {variant}: deliveries/s"] = [run.rate for run in runs]
        if runs:
            rates[variant] = sampling.median([run.rate for run in runs])
    for variant, runs in samples.items():
        if runs:
            limit = rates.get(BARE_LIVE if variant in {OURS_LIVE, BARE_LIVE} else BARE)
            report.rows.append(
                (
                    str(load.watchers),
                    variant,
                    runs[0].received.deliveries / load.watchers,
                    rates[variant],
                    rates[variant] / limit if limit else None,
                    sampling.median([run.server_microseconds for run in runs]),
                    sampling.median([run.client_microseconds for run in runs]),
                )
            )
    if load.watchers >= 100:
        for peer, bound in ((BARE, 0.7), (SSE_LINE, 20)):
            if OURS in rates and peer in rates:
                what = f"deliveries/s to {load.watchers} watchers, of {peer}'s"
                report.targets.append(Target(what, rates[OURS] / rates[peer], bound, at_least=True))
